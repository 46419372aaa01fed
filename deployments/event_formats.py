"""The formats of events: a table, JSON, NDJSON, CSV, Parquet. All stream, so memory use is constant.

Output to a terminal has no control characters. A file or a pipe gets each body byte for byte.
"""

from __future__ import annotations

import csv
import json
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from rich.cells import set_cell_size

from blocks import extras
from blocks.errors import ThirdPartyConfigError
from deployments.event_view import EventView
from deployments.terminal_output import format_rfc3339, format_time, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from blocks.store.source_status import SourceStatus, StoredEvent
    from deployments.json_records.events import EventRecord

SourcedEvent = tuple[str, "StoredEvent"]
"""The name of a source, and an event of it."""
FORMATS = ("table", "json", "ndjson", "csv", "parquet")
SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json", ".parquet": "parquet"}
CSV_COLUMNS = ("source", "api", "uuid", "time", "received", "action", "type", "actor", "ip_address", "country", "body")
TIME_CELLS, API_CELLS, COUNTRY_CELLS = 19, 9, 2
PARQUET_GROUP_ROWS = 10_000  # of a group in a Parquet file


def write_ndjson(events: Iterable[StoredEvent], file: IO[str]) -> int:
    """Write each body as received, one on each line. Returns how many, like all of these functions."""
    written, for_person = 0, file.isatty()
    for written, event in enumerate(events, 1):  # noqa: B007 - the last number is how many there were
        body = event.body
        if "\n" in body or "\r" in body:  # in JSON they are only between tokens; here a line is a record
            body = body.replace("\r", " ").replace("\n", " ")
        file.write((_escaped(body) if for_person else body) + "\n")
    return written


def write_json(source: SourceStatus, events: Iterable[StoredEvent], file: IO[str], *, lines: bool = False) -> int:
    """Write a JSON array with one event on each line, or only the lines. Members as in docs/reference/json.md."""
    written = 0
    if not lines:
        file.write("[")
    for written, event in enumerate(events, 1):
        separator = "" if lines else ",\n" if written > 1 else "\n"
        file.write(f"{separator}{json.dumps(_as_json(source, event))}{_end(lines)}")
    if not lines:
        file.write("\n]\n")
    return written


def _end(lines: bool) -> str:
    return "\n" if lines else ""


def _as_json(source: SourceStatus, event: StoredEvent) -> EventRecord:
    view = EventView.from_event(event)
    return {
        "source": source.name,
        "source_id": source.id,
        "api": event.api,
        "uuid": event.uuid,
        "time": format_rfc3339(event.time_ns),
        "received": format_rfc3339(event.received_ns),
        "action": view.action,
        "type": view.type,
        "actor": view.actor,
        "ip_address": view.ip_address,
        "country": view.country,
        "body": json.loads(event.body),
    }


def write_csv(source: SourceStatus, events: Iterable[StoredEvent], file: IO[str], *, titles: bool = True) -> int:
    """Write one row for each event, below the column names. No cell is a formula."""
    return write_csv_rows(((source.name, event) for event in events), file, titles=titles)


def write_csv_rows(events: Iterable[SourcedEvent], file: IO[str], *, titles: bool = True) -> int:
    """The same for events of several sources."""
    writer, for_person = csv.writer(file), file.isatty()
    if titles:
        writer.writerow(CSV_COLUMNS)
    written = 0
    for written, (source, event) in enumerate(events, 1):  # noqa: B007 - as above
        cells = [*map(_cell, _cells(source, event)), event.body]
        writer.writerow([*map(printable, cells[:-1]), _escaped(event.body)] if for_person else cells)
    return written


def _cells(source: str, event: StoredEvent) -> tuple[str | None, ...]:
    view = EventView.from_event(event)
    times = format_rfc3339(event.time_ns), format_rfc3339(event.received_ns)
    seen = view.action, view.type, view.actor, view.ip_address, view.country
    return (source, event.api, event.uuid, *times, *seen)


def _cell(value: str | None) -> str:
    """Quote a text that a spreadsheet would run as a formula. These texts come from outside."""
    text = value or ""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last are full-width


def write_parquet(source: SourceStatus, events: Iterable[StoredEvent], file: IO[bytes]) -> int:
    """Write a table with the columns of the CSV. Raises ThirdPartyConfigError without the Parquet writer."""
    return write_parquet_rows(((source.name, event) for event in events), file)


def write_parquet_rows(events: Iterable[SourcedEvent], file: IO[bytes]) -> int:
    """The same for events of several sources."""
    core, io = _arro3()
    schema = core.Schema([core.Field(name, kind) for name, kind in _types(core).items()])
    written = 0

    def groups() -> Iterator[Any]:
        nonlocal written
        rows: list[tuple[Any, ...]] = []
        for source, event in events:
            rows.append(_row(source, event))
            written += 1
            if len(rows) == PARQUET_GROUP_ROWS:
                yield _group(core, rows)
                rows = []
        yield _group(core, rows)

    io.write_parquet(core.RecordBatchReader.from_batches(schema, groups()), file, compression="zstd(3)")
    return written


def _row(source: str, event: StoredEvent) -> tuple[Any, ...]:
    name, api, uuid, _, _, *seen = _cells(source, event)
    return (name, api, uuid, event.time_ns, event.received_ns, *seen, event.body)


def _types(core: Any) -> dict[str, Any]:
    moment = core.DataType.timestamp("ns", tz="UTC")
    return {name: moment if name in {"time", "received"} else core.DataType.string() for name in CSV_COLUMNS}


def _group(core: Any, rows: list[tuple[Any, ...]]) -> Any:
    columns = {}
    for place, (name, kind) in enumerate(_types(core).items()):
        values = [row[place] for row in rows]
        is_moment = name in {"time", "received"}
        columns[name] = (
            core.Array(values, type=core.DataType.int64()).cast(kind) if is_moment else core.Array(values, type=kind)
        )
    return core.RecordBatch.from_pydict(columns)


def _arro3() -> tuple[Any, Any]:
    try:
        return import_module("arro3.core"), import_module("arro3.io")
    except ImportError as error:
        raise ThirdPartyConfigError(
            "The Parquet writer is not installed.",
            hint=f"Install it with: {extras.install_command('parquet')}, or choose .csv or .ndjson.",
            code="parquet",
        ) from error


def write_table(events: Iterable[StoredEvent], file: IO[str], width: int | None = None, *, titles: bool = True) -> int:
    """Write lines for people, cut to `width` cells; None does not cut, because a pipe has no width."""
    layout = _Layout(width)
    if titles:
        file.write(layout.line("TIME (UTC)", "API", "ACTION", "WHO", "IP ADDRESS", "CC"))
    written = 0
    for written, event in enumerate(events, 1):  # noqa: B007 - as above
        view = EventView.from_event(event)
        cells = (view.action, view.actor, view.ip_address, view.country)
        when = format_time(event.time_ns)[:TIME_CELLS]
        file.write(layout.line(when[len("2026-") :] if layout.is_narrow else when, event.api, *cells))
    return written


class _Layout:
    """The width of each column."""

    def __init__(self, width: int | None) -> None:
        self._cut = width is not None
        wide = width is None or width >= WIDE
        self._gap = "  " if wide else " "
        address = IPV6_CELLS if wide else IPV4_CELLS
        self.is_narrow = width is not None and width < NARROW
        time = TIME_CELLS - len("2026-") * self.is_narrow
        fixed = time + API_CELLS + address + COUNTRY_CELLS + 5 * len(self._gap)
        left = max((width or WIDE) - fixed, LEAST)
        action = min(ACTION_CELLS, left * 2 // 5)
        self._cells = (time, API_CELLS, action, left - action, address, COUNTRY_CELLS)

    def line(self, *cells: str | None) -> str:
        shown = [self._fitted(cell, width) for cell, width in zip(cells, self._cells, strict=True)]
        return self._gap.join(shown).rstrip() + "\n"

    def _fitted(self, text: str | None, cells: int) -> str:
        shown = printable(text or "")
        if shown.isascii():
            cut = shown if len(shown) <= cells or not self._cut else shown[: cells - 1] + "…"
            return cut.ljust(cells)
        return set_cell_size(shown, cells) if self._cut else shown.ljust(cells)


WIDE, NARROW, LEAST = 110, 76, 12
ACTION_CELLS, IPV4_CELLS, IPV6_CELLS = 19, 15, 24


def _escaped(body: str) -> str:
    """The same JSON, with control characters escaped so that they cannot drive a terminal."""
    if body.isprintable():
        return body
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in body)
