"""The command `onepassword-source`. Each command imports what it needs when it runs: reading needs no Prefect."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks import settings
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.http import proxies
from deployments import cli_backfill, cli_check, cli_coverage, cli_data, cli_health, cli_secrets, cli_siem, cli_sources
from deployments.cli_options import DATA, MACHINE, SOURCES, TRY, Apis, Json, Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "onepassword-source"
DONE, IN_ERROR, WRONG_USE, SKIPPED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

app = typer.Typer(
    name=PROGRAM,
    help="Collect every sign-in attempt, item usage and audit event of a 1Password account into your own database.",
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=f"Start with: {PROGRAM} demo",
)

_token: str | None = None


@app.callback()
def _common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and Prefect's log. Any command takes it.")
    ] = False,
) -> None:
    """`main` has taken --debug out of the arguments, wherever it stood; here it is only told of."""


@app.command(epilog=f"Example: {PROGRAM} apply source.json", rich_help_panel=SOURCES)
def apply(  # noqa: PLR0917 - a flag each
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The JSON configuration; - reads standard input.", show_default=False),
    ],
    new_account: Annotated[
        bool, typer.Option("--new-account", help="Take a token of another account than that of the events so far.")
    ] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Take a token even where 1Password cannot be reached to check it.")
    ] = False,
    replace_token: Annotated[
        bool, typer.Option("--replace-token", help="Take a token that was issued before the one in use.")
    ] = False,
    add_fields: Annotated[
        bool, typer.Option("--add-fields", help="Add the fields of the sources that are not known yet.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create or update sources from their JSON configuration; what has changed is collected at once."""
    from deployments.commands.apply import run  # noqa: PLC0415
    from deployments.sources import TokenRules  # noqa: PLC0415

    rules = TokenRules(new_account=new_account, unchecked=unchecked, replace_token=replace_token)
    raise typer.Exit(run(file, rules, token=_token, add_fields=add_fields, as_json=as_json))


@app.command(epilog=f"Example: {PROGRAM} up", rich_help_panel=MACHINE)
def up(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the Prefect server listens; wider needs TLS in front.")
    ] = "127.0.0.1",
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Its address for others, behind a TLS proxy: https://prefect.example.com"),
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: Prefect with its UI, the schedules, the worker."""
    from deployments.commands.up import run  # noqa: PLC0415

    run(host=host, public_url=public_url)


@app.command(epilog=f"Example: {PROGRAM} collect 1Pass", rich_help_panel=SOURCES)
def collect(name: Name, as_json: Json = False) -> None:
    """Collect once, now. Exit code 1 where the source is in error, 3 where another run collects it."""
    from deployments.commands.collect import run  # noqa: PLC0415

    raise typer.Exit(run(name, as_json=as_json))


@app.command(epilog=f"Example: {PROGRAM} status 1Pass --json", rich_help_panel=SOURCES)
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One source; all where left out.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table, json or prometheus (metrics for a scraper)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell whether each source is healthy and what it holds. Exit code 1 where one is in error."""
    from deployments.commands.status import run  # noqa: PLC0415

    raise typer.Exit(run(name, form=form, as_json=as_json))


@app.command(epilog=f"Example: {PROGRAM} events 1Pass --since 7d --format csv -o week.csv", rich_help_panel=DATA)
def events(  # noqa: PLR0917 - typer calls it by name
    name: Name,
    api: Apis = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Events of that time or later: 24h, 7d, 2026-11-01, or RFC 3339."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Events before that time.")] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="table, ndjson (each body as it came, one a line) or csv."),
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write into FILE, which only you can read, instead."),
    ] = None,
) -> None:
    """Show or export the stored events of a source, oldest first."""
    from deployments.commands.events import run  # noqa: PLC0415

    run(name, apis=api or [], since=since, until=until, form=form, output=output)


@app.command(
    rich_help_panel=TRY,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def sandbox(context: typer.Context) -> None:
    """Run a fake Events API on this machine, with made-up events and faults on demand."""
    from deployments.commands.sandbox import run  # noqa: PLC0415

    raise typer.Exit(run(context.args))


@app.command(epilog=f'Example: eval "$({PROGRAM} env)" && prefect deployment ls', rich_help_panel=MACHINE)
def env(as_json: Json = False) -> None:
    """Print what Prefect's own command line needs to reach this machine's Prefect: a password too."""
    from deployments.commands.env import run  # noqa: PLC0415

    run(as_json=as_json)


@app.command(epilog=f"Example: {PROGRAM} demo", rich_help_panel=TRY)
def demo() -> None:
    """Collect from the sandbox into a directory of its own (./.demo) and show what came."""
    from deployments.commands.demo import run  # noqa: PLC0415

    raise typer.Exit(run())


cli_sources.add(app, lambda: _token)
cli_secrets.add(app)
cli_backfill.add(app)
cli_check.add(app)
cli_coverage.add(app)
cli_data.add(app)
cli_health.add(app)
cli_siem.add(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. An error is one clear line, with a traceback for --debug alone."""
    os.umask(0o077)  # all that is kept is for the owner alone
    global _token  # noqa: PLW0603 - taken out of the environment before anything else starts
    _token = os.environ.pop(settings.PREFIX + "API_TOKEN", None) or None
    for sentence in proxies.make_readable(os.environ):
        _complain(f"Warning: {sentence}")
    rest, debug = _without_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        with _ended_by_sigterm():
            code = _run(rest or ["--help"])
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence
        if debug:
            traceback.print_exc()
        message, code = _explained(error)
        _complain(message)
        return code


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [one for one in arguments[:end] if one != "--debug"]
    debug = len(rest) < end
    if debug:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "DEBUG")
    return [*rest, *arguments[end:]], debug


def _run(arguments: list[str]) -> int:
    # Not app(): it has its own ways with Ctrl-C, closed pipes and errors.
    command = typer.main.get_command(app)
    try:
        with command.make_context(PROGRAM, arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return DONE


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, so that nothing it started is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _complain(message: str) -> None:
    from deployments.commands.present import plain  # noqa: PLC0415 - 0.1 s that only an error takes

    lines = [plain(line) for line in message.splitlines()]
    typer.echo(f"{PROGRAM}: " + "\n".join(lines), err=True)


def _explained(error: BaseException) -> tuple[str, int]:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "Stopped.", INTERRUPTED
    if isinstance(error, SourceError):
        if error.code == "store":  # it speaks to a run that goes on; a command ends
            error.hint = f"Check the database and {settings.PREFIX}DATABASE_URL; what was committed stays."
        return str(error), WRONG_USE if isinstance(error, ThirdPartyConfigError) else IN_ERROR
    if callable(format_message := getattr(error, "format_message", None)):  # typer's own errors of use
        context = getattr(error, "ctx", None)
        message = str(format_message()).rstrip(".").replace("'?", "'")
        return f"{message}. See: {context.command_path if context else PROGRAM} --help", WRONG_USE
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}.", IN_ERROR
    # Its text is for --debug alone: nobody has looked at what it may quote.
    return f"An unexpected fault in this program: {type(error).__name__}. --debug shows where.", IN_ERROR


if __name__ == "__main__":
    sys.exit(main())
