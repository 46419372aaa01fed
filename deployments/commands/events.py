"""`onepassword-source events`: show or export what is stored. It streams, so any number of events needs no memory."""

from __future__ import annotations

import csv
import json
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from blocks import clock
from blocks.collect_from import moment
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.faults import nearest
from blocks.store import reading
from deployments.commands.present import ERROR, iso_of, note, plain, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from blocks.store.reading import SourceStatus, StoredEvent, StreamStatus

FORMATS = ("table", "ndjson", "csv")
APIS = ("sign-in", "itemUsage", "audit")
CSV_COLUMNS = ("source", "api", "uuid", "time", "received", "action", "type", "actor", "ip_address", "country", "body")


def run(name: str, *, apis: list[str], since: str | None, until: str | None, form: str, output: Path | None) -> None:
    """Write the events. Raises ThirdPartyConfigError for a source, API, time or format that does not exist."""
    if form not in FORMATS:
        raise _wrong("--format", form, FORMATS)
    for api in apis:
        if api not in APIS:
            raise _wrong("--api", api, APIS)
    since_ns, until_ns = _time("--since", since), _time("--until", until)
    engine = reading.open_store()
    source = reading.sources(engine, name)[0]
    streams = [stream for stream in source.streams if not apis or stream.api in apis]
    found = reading.events(engine, streams, since_ns=since_ns, until_ns=until_ns)
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        _write(form, source, found, sys.stdout)
        return
    total = reading.count(engine, streams, since_ns, until_ns) if sys.stderr.isatty() else 0
    with _progress(total) as counted, _new_file(output) as file:
        _write(form, source, counted(found), file)
    note(f"Written to {output}.")


def _write(form: str, source: SourceStatus, events: Iterable[StoredEvent], file: IO[str]) -> None:
    if form == "ndjson":
        _write_ndjson(events, file)
    elif form == "csv":
        _write_csv(source, events, file)
    else:
        _write_table(events, file)


def _write_ndjson(events: Iterable[StoredEvent], file: IO[str]) -> None:
    for event in events:
        body = event.body
        if "\n" in body or "\r" in body:  # JSON has them between tokens alone, and a line is a record here
            body = body.replace("\r", " ").replace("\n", " ")
        file.write(body + "\n")


def _write_csv(source: SourceStatus, events: Iterable[StoredEvent], file: IO[str]) -> None:
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for event in events:
        seen = _Seen.of(event)
        cells = (
            event.uuid,
            iso_of(event.time_ns),
            iso_of(event.received_ns),
            seen.action,
            seen.type,
            seen.actor,
            seen.ip_address,
            seen.country,
        )
        writer.writerow([_cell(source.name), event.api, *map(_cell, cells), event.body])


def _cell(value: str | None) -> str:
    """A spreadsheet would run what begins like a formula, and some of these texts come from outside."""
    text = value or ""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def print_table(events: Iterable[StoredEvent]) -> None:
    _write_table(events, sys.stdout)


def _write_table(events: Iterable[StoredEvent], file: IO[str]) -> None:
    file.write(f"{'TIME (UTC)':19}  {'API':9}  {'ACTION':19}  WHO\n")
    for event in events:
        seen = _Seen.of(event)
        action = plain(seen.action or "")[:19]
        who = plain(seen.actor or "")[:27]
        file.write(f"{time_of(event.time_ns)[:19]}  {event.api:9}  {action:19}  {who}\n")


class _Seen(msgspec.Struct):
    """The few things of an event that a table shows."""

    action: str | None
    type: str | None
    actor: str | None
    ip_address: str | None
    country: str | None

    @classmethod
    def of(cls, event: StoredEvent) -> _Seen:
        body = _body(event.body)
        person = _part(body, {"sign-in": "target_user", "itemUsage": "user"}.get(event.api, "actor_details"))
        place = _part(body, "session").get("ip") if event.api == "audit" else _part(body, "client").get("ip_address")
        return cls(
            action=_text(body.get("category" if event.api == "sign-in" else "action")),
            type=_text(body.get("object_type" if event.api == "audit" else "type")),
            actor=_text(person.get("email") or person.get("name") or person.get("uuid") or body.get("actor_uuid")),
            ip_address=_text(place),
            country=_text(_part(body, "location").get("country") or body.get("country")),
        )


def _body(body: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except ValueError:  # a lone surrogate, which msgspec does not take
        value = json.loads(body)
    return value if isinstance(value, dict) else {}


def _part(body: dict[str, Any], member: str) -> dict[str, Any]:
    part = body.get(member)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value).encode(errors="replace").decode()


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """The file appears whole or not at all, and only its owner can read it."""
    part = path.with_name(path.name + ".part")
    try:
        with open(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline=""
        ) as file:  # noqa: PTH123, E501
            yield file
        part.replace(path)
    except OSError as error:
        raise FirstPartyGenericError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another file with --output.", code="output"
        ) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Iterable[StoredEvent]], Iterable[StoredEvent]]]:
    if not total:
        yield lambda events: events
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=ERROR) as progress:
        yield lambda events: progress.track(events, total=total, update_period=0.2)


def _time(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return moment(text, clock.now_ns())
    except ThirdPartyConfigError as error:
        raise ThirdPartyConfigError(f"{flag}: {error}", code="usage") from None


def _wrong(flag: str, value: str, known: tuple[str, ...]) -> ThirdPartyConfigError:
    close = nearest(value, known)
    meant = f" Did you mean {close}?" if close else ""
    return ThirdPartyConfigError(f"{flag} takes {', '.join(known)}, not {value!r}.{meant}", code="usage")
