"""The signatures of `onepassword-source siem …`: where events are forwarded to."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import DATA, Json

PROGRAM = "onepassword-source"
HELP = "Forward events to SIEMs and archives: which there are, how far each is, what it is sent."

Siem = Annotated[str, typer.Argument(metavar="NAME", help="The name of the SIEM.", show_default=False)]
Source = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="Of this source alone; all where left out.", show_default=False),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="What was received then or later: 7d, a date.", show_default=False),
]


def add_siem(  # noqa: PLR0917 - typer calls it by name
    name: Siem,
    source: Annotated[list[str], typer.Option("--source", metavar="NAME", help="Whose events; may be given again.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="splunk, syslog, archive, …; left out where its block was made in the UI.",
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A member of its config; may be given again."),
    ] = None,
    since: From = None,
    as_json: Json = False,
) -> None:
    """Add a SIEM, or change it: the same as `apply` with a file. Secrets are asked for without echo."""
    from deployments.commands.siem import add  # noqa: PLC0415

    add(name, kind, source, members or [], since, as_json=as_json)


def list_siems(as_json: Json = False) -> None:
    """List the SIEMs, in short."""
    from deployments.commands.siem_status import list_all  # noqa: PLC0415

    list_all(as_json=as_json)


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One SIEM; all where left out.", show_default=False)
    ] = None,
    source: Source = None,
    as_json: Json = False,
) -> None:
    """Show how far each SIEM is: sent, waiting, the last error. Exit code 1 where one is in error."""
    from deployments.commands.siem_status import show  # noqa: PLC0415

    raise typer.Exit(show(name, source, as_json=as_json))


def show_sample(
    name: Siem,
    source: Source = None,
    sample: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest events of each API.")] = 5,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the SIEM whether it would take them.")] = False,
    as_json: Json = False,
) -> None:
    """Show what would be sent, and which rule keeps an event back. Nothing is sent but a question."""
    from deployments.commands.siem_test import run  # noqa: PLC0415

    raise typer.Exit(run(name, source, sample, offline=offline, as_json=as_json))


def run_now(name: Siem, source: Source = None, as_json: Json = False) -> None:
    """Forward now, in this process. Exit code 1 where the SIEM is in error, 3 where another run forwards."""
    from deployments.commands.siem_run import run  # noqa: PLC0415

    raise typer.Exit(run(name, source, as_json=as_json))


def pause(name: Siem, source: Source = None) -> None:
    """Pause forwarding to a SIEM. What comes meanwhile waits; others go on."""
    from deployments.commands.siem import set_paused  # noqa: PLC0415

    set_paused(name, source, paused=True)


def resume(name: Siem, source: Source = None) -> None:
    """Resume forwarding, from where it was; errors are forgotten."""
    from deployments.commands.siem import set_paused  # noqa: PLC0415

    set_paused(name, source, paused=False)


def replay(
    name: Siem,
    source: Source = None,
    since: From = None,
    refused: Annotated[bool, typer.Option("--refused", help="What the SIEM has refused, once more.")] = False,
) -> None:
    """Send again what was received since a time, or what was refused. It may be there twice then."""
    from deployments.commands.siem import replay as run  # noqa: PLC0415

    run(name, source, since, refused=refused)


def list_refused(
    name: Siem,
    source: Source = None,
    discard: Annotated[bool, typer.Option("--discard", help="Forget them: they are not sent any more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
    as_json: Json = False,
) -> None:
    """List the events that a SIEM has refused for good, with what it said."""
    from deployments.commands.siem_status import discard_refused, show_refused  # noqa: PLC0415

    if discard:
        discard_refused(name, source, yes=yes)
    else:
        show_refused(name, source, as_json=as_json)


def remove(
    name: Siem,
    source: Source = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
) -> None:
    """Remove a SIEM with its secrets and how far it is. The events stay."""
    from deployments.commands.siem import remove as run  # noqa: PLC0415

    run(name, source, yes=yes)


def add(app: typer.Typer) -> None:
    """Register the commands."""
    siem = typer.Typer(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
    for name, command, example in (
        ("add", add_siem, "add soc --type splunk --source 1Pass --set url=https://splunk.example:8088"),
        ("list", list_siems, "list --json"),
        ("status", status, "status soc"),
        ("test", show_sample, "test soc --sample 5"),
        ("run", run_now, "run soc"),
        ("pause", pause, "pause soc"),
        ("resume", resume, "resume soc"),
        ("replay", replay, "replay soc --from 2026-11-01"),
        ("refused", list_refused, "refused soc"),
        ("remove", remove, "remove soc"),
    ):
        siem.command(name, epilog=f"Example: {PROGRAM} siem {example}")(command)
    app.add_typer(siem, name="siem", rich_help_panel=DATA)
