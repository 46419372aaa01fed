"""`onepassword-source health`: print health events, and follow them."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from blocks.errors import SourceError, StoreVersionError
from blocks.health import HEALTHY
from blocks.store import health_log, source_status
from deployments.commands.support.options import Json, OneSource, parse_time_option
from deployments.terminal_output import (
    format_rfc3339,
    format_time,
    print_cropped,
    print_indented,
    print_json,
    print_note,
    printable,
    severity_style,
    wait_for_more,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.store.health_log import LoggedHealthEvent

DEFAULT_SINCE = "7d"
REREAD_IDS = 1000
"""So many ids are read again: on PostgreSQL, a smaller id may become visible after a larger one."""

DETAILS = """
Without --since, it shows the last 7 days. With --json it prints the records, with --json and --follow one on each line.
"""


def command(
    name: OneSource = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From this time on: 24h, 30d, a date, or RFC 3339. Default: 7d."),
    ] = None,
    as_json: Json = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new events, until Ctrl-C.")] = False,
) -> None:
    """Print the health events. Raises ThirdPartyConfigError for an unknown source or an invalid time."""
    since_ns = parse_time_option("--since", since or DEFAULT_SINCE) or 0
    with source_status.opened_store() as engine:
        ids = health_log.source_ids(engine, name)
        found = health_log.events_since(engine, ids, since_ns=since_ns)
        older = health_log.events_before(engine, ids, since_ns)
    if not as_json:
        _note_older(older, found=bool(found))
    if as_json and not follow:
        print_json([one.event.as_json() for one in found])
        return
    say = _print_json_line if as_json else _HealthTable(names=name is None).print
    if not follow:
        _print_all(found, say)
        return
    with suppress(KeyboardInterrupt):  # Ctrl-C is the way to end --follow
        _print_all(found, say)
        _Follower(ids, since_ns, say, {one.id for one in found}).follow()


def _print_all(found: list[LoggedHealthEvent], say: Callable[[LoggedHealthEvent], None]) -> None:
    for one in found:
        say(one)


def _note_older(older: health_log.OlderEvents, *, found: bool) -> None:
    if older.first_ns is not None:
        since = (format_rfc3339(older.first_ns) or "")[:10]
        events = "event" if older.number == 1 else "events"
        print_note(f"{older.number:,} older {events} not shown; --since {since} shows all.")
    elif not found:
        print_note("There are no health events: nothing went wrong.")


def _print_json_line(one: LoggedHealthEvent) -> None:
    typer.echo(json.dumps(one.event.as_json()))


@dataclass(slots=True)
class _HealthTable:
    """A few lines for each event, below a header."""

    names: bool
    has_header: bool = False

    def print(self, logged: LoggedHealthEvent) -> None:
        if not self.has_header:
            self.has_header = True
            print_cropped(Text(f"{'TIME (UTC)':21}LEVEL    {'EVENT':24}API{'        SOURCE' * self.names}", "dim"))
        style = _style(logged)
        print_cropped(_line(logged, style, names=self.names))
        print_indented(printable(logged.event.description), 4, style="" if logged.open else "dim")
        if logged.open:
            lead = "still open → " if logged.event.hint else "still open"
            print_indented(printable(logged.event.hint or ""), 4, lead=Text(lead, style))


def _line(one: LoggedHealthEvent, style: str, *, names: bool) -> Text:
    event = one.event
    level = "ok" if event.status == HEALTHY else event.severity.lower()
    line = Text.assemble(
        f"{format_time(event.time_ns)[:19]}  ",
        (f"{level:9}", style),
        (f"{printable(event.name):24}", "bold"),
        printable(event.api or "all"),
    )
    return line.append(f"{' ' * (11 - len(event.api or 'all'))}{printable(event.source_name)}") if names else line


def _style(one: LoggedHealthEvent) -> str:
    return "bold green" if one.event.status == HEALTHY else severity_style(one.event.severity)


@dataclass(slots=True)
class _Follower:
    """Prints new events. It waits while the store is down."""

    ids: list[str] | None
    since_ns: int
    print_event: Callable[[LoggedHealthEvent], None]
    seen: set[int]
    is_store_down: bool = False

    def follow(self) -> None:
        """Run until Ctrl-C, or until the reader of a pipe ends (BrokenPipeError)."""
        while True:
            sys.stdout.flush()
            wait_for_more()
            for one in self._new():
                self.print_event(one)
                self.seen.add(one.id)

    def _new(self) -> list[LoggedHealthEvent]:
        newest = max(self.seen, default=0)
        try:
            # opened again each time, because the file or the server may have been replaced
            with source_status.opened_store() as engine:
                found = health_log.events_since(engine, self.ids, since_ns=self.since_ns, after_id=newest - REREAD_IDS)
        except StoreVersionError:
            raise
        except SourceError as error:
            self._note_away(error)
            return []
        self._note_back()
        return [one for one in found if one.id not in self.seen]

    def _note_away(self, error: SourceError) -> None:
        if not self.is_store_down:
            print_note(f"{error.message} Waiting for it.")
        self.is_store_down = True

    def _note_back(self) -> None:
        if self.is_store_down:
            print_note("The store is back.")
        self.is_store_down = False
