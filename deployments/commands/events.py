"""`onepassword-source events`: show or export what is stored. It streams, so any number of events needs no memory."""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.cells import set_cell_size
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.faults import nearest
from blocks.store import reading
from deployments.commands.moments import moment_of
from deployments.commands.options import Apis, Name, Output
from deployments.commands.present import ERROR, iso_of, note, plain, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from blocks.store.reading import SourceStatus, StoredEvent

FORMATS = ("table", "ndjson", "csv")
APIS = ("sign-in", "itemUsage", "audit")
CSV_COLUMNS = ("source", "api", "uuid", "time", "received", "action", "type", "actor", "ip_address", "country", "body")
ACTION_CELLS, WHO_CELLS = 19, 27  # with time and API, they fill 80 columns


def command(
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
    output: Output = None,
) -> None:
    """Write the events. Raises ThirdPartyConfigError for a source, API, time or format that does not exist."""
    apis = api or []
    _check(form, apis)
    since_ns, until_ns = _window(since, until)
    engine = reading.open_store()
    source = reading.sources(engine, name)[0]
    streams = [stream for stream in source.streams if not apis or stream.api in apis]
    found = reading.events(engine, streams, since_ns=since_ns, until_ns=until_ns)
    if output is None or str(output) == "-":
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        if not _write(form, source, found, sys.stdout) and form == "table":
            note("There are no such events.")
        return
    total = reading.count(engine, streams, since_ns, until_ns) if sys.stderr.isatty() else 0
    with file_for(output) as file, _progress(total) as counted:
        written = _write(form, source, counted(found), file)
    note(f"{written:,} event{'' if written == 1 else 's'} written to {output}.")


def _check(form: str, apis: list[str]) -> None:
    if form not in FORMATS:
        raise _wrong("--format", form, FORMATS)
    for api in apis:
        if api not in APIS:
            raise _wrong("--api", api, APIS)


def _wrong(flag: str, value: str, known: tuple[str, ...]) -> ThirdPartyConfigError:
    close = nearest(value, known)
    meant = f"Did you mean {close}?" if close else ""
    return ThirdPartyConfigError(f"{flag} takes {', '.join(known)}, not {value!r}.", hint=meant, code="usage")


def _window(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    since_ns, until_ns = moment_of("--since", since), moment_of("--until", until)
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise ThirdPartyConfigError(
            f"--since {since} is not before --until {until}.", hint="Exchange the two.", code="usage"
        )
    return since_ns, until_ns


def _write(form: str, source: SourceStatus, events: Iterable[StoredEvent], file: IO[str]) -> int:
    """How many were written."""
    if form == "ndjson":
        return _write_ndjson(events, file)
    if form == "csv":
        return _write_csv(source, events, file)
    return write_table(events, file)


def _write_ndjson(events: Iterable[StoredEvent], file: IO[str]) -> int:
    written = 0
    for written, event in enumerate(events, 1):  # noqa: B007 - the last number is how many there were
        body = event.body
        if "\n" in body or "\r" in body:  # JSON has them between tokens alone, and a line is a record here
            body = body.replace("\r", " ").replace("\n", " ")
        file.write(body + "\n")
    return written


def _write_csv(source: SourceStatus, events: Iterable[StoredEvent], file: IO[str]) -> int:
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    written, name = 0, _cell(source.name)
    for written, event in enumerate(events, 1):  # noqa: B007 - as above
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
        writer.writerow([name, event.api, *map(_cell, cells), event.body])
    return written


def _cell(value: str | None) -> str:
    """A spreadsheet would run what begins like a formula, and some of these texts come from outside."""
    text = value or ""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last are full-width


def write_table(events: Iterable[StoredEvent], file: IO[str]) -> int:
    """Lines of at most 80 columns for a person. How many events there were."""
    file.write(f"{'TIME (UTC)':19}  {'API':9}  {'ACTION':{ACTION_CELLS}}  WHO\n")
    written = 0
    for written, event in enumerate(events, 1):  # noqa: B007 - as above
        seen = _Seen.of(event)
        action, who = _fitted(seen.action, ACTION_CELLS), _fitted(seen.actor, WHO_CELLS).rstrip()
        file.write(f"{time_of(event.time_ns)[:19]}  {event.api:9}  {action}  {who}\n")
    return written


def _fitted(text: str | None, cells: int) -> str:
    shown = plain(text or "")
    return shown[:cells].ljust(cells) if shown.isascii() else set_cell_size(shown, cells)


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
def file_for(path: Path, flag: str = "--output") -> Iterator[IO[str]]:
    """Where an answer goes: a new file, or what is no file at all (a pipe, /dev/null) as it is."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
        else:
            with _new_file(path.resolve()) as file:
                yield file
    except OSError as error:
        raise FirstPartyGenericError(
            f"{path} cannot be written: {error.strerror}.", hint=f"Choose another file with {flag}.", code="output"
        ) from error


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """It appears whole or not at all, and only its owner can read it."""
    if path.is_dir():
        raise IsADirectoryError(21, "it is a directory")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")  # of mode 0600
    part = Path(name)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a handle
            yield file
            file.flush()
            os.fsync(handle)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Iterable[StoredEvent]], Iterable[StoredEvent]]]:
    if not total:
        yield lambda events: events
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=ERROR) as progress:
        yield lambda events: progress.track(events, total=total, update_period=0.2)
