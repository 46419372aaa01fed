"""The command `onepassword-source`. Each command imports what it needs when it runs: reading needs no Prefect."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from blocks import settings
from blocks.errors import SourceError, ThirdPartyConfigError

DONE, IN_ERROR, WRONG_USE = 0, 1, 2

app = typer.Typer(
    name="onepassword-source",
    help="Collect every sign-in attempt, item usage and audit event of a 1Password account into a database of your own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Start with: onepassword-source demo",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[str, typer.Argument(help="The name of the source.", show_default=False)]

_token: str | None = None


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, and Prefect's log.")] = False,
) -> None:
    if debug:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "DEBUG")


@app.command(epilog="Example: onepassword-source apply source.json")
def apply(
    file: Annotated[Path, typer.Argument(help="The JSON configuration; - reads standard input.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Create or update sources from their JSON configuration."""
    from deployments.commands import apply  # noqa: PLC0415

    apply.run(file, token=_token, as_json=as_json)


@app.command(epilog="Example: onepassword-source up")
def up() -> None:
    """Run everything on this machine until Ctrl-C: Prefect with its UI, the schedules, the worker."""
    from deployments.commands import up  # noqa: PLC0415

    up.run()


@app.command(epilog="Example: onepassword-source collect 1Pass")
def collect(name: Name, as_json: Json = False) -> None:
    """Collect once, now. Exit code 1 where the source is in error."""
    from deployments.commands import collect  # noqa: PLC0415

    raise typer.Exit(collect.run(name, as_json=as_json))


@app.command(epilog="Example: onepassword-source status 1Pass --json")
def status(
    name: Annotated[str | None, typer.Argument(help="One source; all where left out.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Tell whether each source is healthy and what it holds. Exit code 1 where one is in error."""
    from deployments.commands import status  # noqa: PLC0415

    raise typer.Exit(status.run(name, as_json=as_json))


@app.command(
    epilog="Example: onepassword-source events 1Pass --api audit --since 7d --format ndjson --output audit.ndjson"
)
def events(
    name: Name,
    api: Annotated[
        list[str] | None, typer.Option(help="sign-in, itemUsage or audit; may be given again.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Events of that time or later: 24h, 7d, 2026-11-01, or RFC 3339.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Events before that time.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="table, ndjson (each body as it came, one a line) or csv.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write into FILE (mode 0600) instead.", metavar="FILE")
    ] = None,
) -> None:
    """Show or export the stored events of a source, oldest first."""
    from deployments.commands import events  # noqa: PLC0415

    events.run(name, apis=api or [], since=since, until=until, form=form, output=output)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: onepassword-source sandbox --port 8080 --rate 30",
)
def sandbox(context: typer.Context) -> None:
    """Run a fake Events API on this machine, with made-up events and faults on demand."""
    from deployments.commands import sandbox  # noqa: PLC0415

    raise typer.Exit(sandbox.run(context.args))


@app.command(epilog='Example: eval "$(onepassword-source env)" && prefect deployment ls')
def env() -> None:
    """Print what Prefect's own command line needs to reach this machine's Prefect."""
    from deployments.prefect_access import shell_exports  # noqa: PLC0415

    typer.echo(shell_exports())


@app.command(epilog="Example: onepassword-source demo")
def demo() -> None:
    """Collect from the sandbox into a directory of its own (./.demo) and show what came."""
    from deployments.commands import demo  # noqa: PLC0415

    raise typer.Exit(demo.run())


def main() -> None:
    """Run the command line: one clear line for an error, and no traceback without --debug."""
    global _token  # noqa: PLW0603 - taken out of the environment before anything else starts
    _token = os.environ.pop(settings.PREFIX + "API_TOKEN", None) or None
    try:
        code: Any = app(standalone_mode=False)
    except SourceError as error:
        _fail(str(error), WRONG_USE if isinstance(error, ThirdPartyConfigError) else IN_ERROR)
    except KeyboardInterrupt:
        _fail("Stopped.", 130)
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        _fail_by(error)
    sys.exit(code if isinstance(code, int) else DONE)


def _fail_by(error: Exception) -> None:
    show = getattr(error, "show", None)
    if callable(show):  # click's own errors of use
        show(file=sys.stderr)
        sys.exit(getattr(error, "exit_code", WRONG_USE))
    _fail(f"An unexpected fault in this program: {type(error).__name__}: {error} --debug shows where.", IN_ERROR)


def _fail(message: str, code: int) -> None:
    typer.echo(f"onepassword-source: {message}", err=True)
    if "--debug" in sys.argv:
        raise  # noqa: PLE0704 - called while the error is handled
    sys.exit(code)
