"""Arguments and options that several commands share, and their completion."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from blocks import clock
from blocks.durations import parse_time
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.store import source_status
from blocks.store.forwarding import forward_status

TIMES = "a duration such as 90m, 24h or 7d (before now), a date, or a time such as 2026-11-01T00:00:00Z"


def source_names() -> list[str]:
    """The names of the sources, for completion; empty if the store does not answer."""
    with suppress(SourceError), source_status.opened_store() as engine:
        return [source.name for source in source_status.sources(engine)]
    return []


def siem_names() -> list[str]:
    """The names of the SIEMs, for completion; empty if the store does not answer."""
    with suppress(SourceError), source_status.opened_store() as engine:
        return list(dict.fromkeys(pair.siem for pair in forward_status.pairs(engine)))
    return []


APIS = ("sign-in", "itemUsage", "audit")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the source.", show_default=False, autocompletion=source_names)
]
Apis = Annotated[
    list[str] | None,
    typer.Option(
        "--api",
        metavar="API",
        help="sign-in, itemUsage or audit; repeatable.",
        show_default=False,
        autocompletion=lambda: list(APIS),
    ),
]
OneSource = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="One source; default: all.", show_default=False, autocompletion=source_names),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to FILE, which only you can read."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Skip the confirmation, for scripts.")]
Siem = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the SIEM.", show_default=False, autocompletion=siem_names)
]
OneSiem = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="One SIEM; default: all.", show_default=False, autocompletion=siem_names),
]
OfSource = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Only this source; default: all.",
        show_default=False,
        autocompletion=source_names,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Events received then or later: 7d, a date.", show_default=False),
]
FieldNames = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of fields.", show_default=False)]


def parse_time_option(flag: str, text: str | None) -> int | None:
    """The time given for an option, in ns since 1970. Raises ThirdPartyConfigError, which names the option."""
    if text is None:
        return None
    try:
        return parse_time(text, clock.now_ns())
    except ThirdPartyConfigError as error:
        raise ThirdPartyConfigError(f"{flag}: {error.message}", hint=f"Use {TIMES}.", code="usage") from None
