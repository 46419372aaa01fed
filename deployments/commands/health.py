"""`onepassword-source health`."""

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
from deployments.commands.support.following import wait_for_more
from deployments.commands.support.moments import moment_of
from deployments.commands.support.options import Json, OneSource
from deployments.commands.support.output import (
    iso_of,
    note,
    plain,
    say_indented,
    say_json,
    say_line,
    severity_style,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.store.health_log import Told

SINCE = "7d"
OVERLAP = 1000
"""On PostgreSQL a number may be given out before, and be seen after, a larger one: so many are asked for again."""


def command(
    name: OneSource = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Since then: 24h, 30d, a date, or RFC 3339; 7d where left out."),
    ] = None,
    as_json: Json = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new ones, until Ctrl-C.")] = False,
) -> None:
    """Print the health events. Raises ThirdPartyConfigError for a source or a time that does not exist."""
    since_ns = moment_of("--since", since or SINCE) or 0
    with source_status.opened_store() as engine:
        ids = health_log.ids_of(engine, name)
        found = health_log.told(engine, ids, since_ns=since_ns)
        older = health_log.older(engine, ids, since_ns)
    if not as_json:
        _note_older(older, found=bool(found))
    if as_json and not follow:
        say_json([one.event.as_json() for one in found])
        return
    say = _say_json_line if as_json else _Table(names=name is None).say
    if not follow:
        _say_all(found, say)
        return
    with suppress(KeyboardInterrupt):  # the way to end it, and no fault
        _say_all(found, say)
        _Follower(ids, since_ns, say, {one.id for one in found}).run()


def _say_all(found: list[Told], say: Callable[[Told], None]) -> None:
    for one in found:
        say(one)


def _note_older(older: health_log.Older, *, found: bool) -> None:
    if older.first_ns is not None:
        since = (iso_of(older.first_ns) or "")[:10]
        events = "event" if older.number == 1 else "events"
        note(f"{older.number:,} older {events} left out; --since {since} shows all.")
    elif not found:
        note("There is no health event yet: nothing has changed for the worse.")


def _say_json_line(one: Told) -> None:
    typer.echo(json.dumps(one.event.as_json()))


@dataclass(slots=True)
class _Table:
    """A few lines for each event, below titles."""

    names: bool
    begun: bool = False

    def say(self, one: Told) -> None:
        if not self.begun:
            self.begun = True
            say_line(Text(f"{'TIME (UTC)':21}LEVEL    {'EVENT':24}API{'        SOURCE' * self.names}", "dim"))
        style = _style(one)
        say_line(_line(one, style, names=self.names))
        say_indented(plain(one.event.description), 4, style="" if one.open else "dim")
        if one.open:
            lead = "still open → " if one.event.hint else "still open"
            say_indented(plain(one.event.hint or ""), 4, lead=Text(lead, style))


def _line(one: Told, style: str, *, names: bool) -> Text:
    event = one.event
    level = "ok" if event.status == HEALTHY else event.severity.lower()
    line = Text.assemble(
        f"{time_of(event.time_ns)[:19]}  ",
        (f"{level:9}", style),
        (f"{plain(event.name):24}", "bold"),
        plain(event.api or "all"),
    )
    return line.append(f"{' ' * (11 - len(event.api or 'all'))}{plain(event.source_name)}") if names else line


def _style(one: Told) -> str:
    return "bold green" if one.event.status == HEALTHY else severity_style(one.event.severity)


@dataclass(slots=True)
class _Follower:
    """Shows what comes, whatever happens to the store meanwhile."""

    ids: list[str] | None
    since_ns: int
    say: Callable[[Told], None]
    seen: set[int]
    away: bool = False

    def run(self) -> None:
        """Until Ctrl-C, or until the reader of a pipe has gone (BrokenPipeError)."""
        while True:
            sys.stdout.flush()
            wait_for_more()
            for one in self._new():
                self.say(one)
                self.seen.add(one.id)

    def _new(self) -> list[Told]:
        newest = max(self.seen, default=0)
        try:
            # opened anew each time: a file may have been replaced, a server be another one
            with source_status.opened_store() as engine:
                found = health_log.told(engine, self.ids, since_ns=self.since_ns, after_id=newest - OVERLAP)
        except StoreVersionError:
            raise
        except SourceError as error:
            self._note_away(error)
            return []
        self._note_back()
        return [one for one in found if one.id not in self.seen]

    def _note_away(self, error: SourceError) -> None:
        if not self.away:
            note(f"{error.message} Waiting for it.")
        self.away = True

    def _note_back(self) -> None:
        if self.away:
            note("The store is back.")
        self.away = False
