"""`onepassword-source list`: all sources, read from the store without Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from blocks.store import source_status
from blocks.store.source_health import health, judged_sources
from deployments.commands.support import overview
from deployments.commands.support.options import Json
from deployments.terminal_output import format_rfc3339, print_json, print_line, print_table, printable

if TYPE_CHECKING:
    from blocks.store.source_status import SourceStatus
    from deployments.json_records.sources import SourceRecord

COLUMNS = ("name", "state", "events", "APIs", "base URL")
NAME_CELLS = 24

DETAILS = "It is read from the store and needs no Prefect."


def command(as_json: Json = False) -> None:
    """Print one row for each source, including deleted sources."""
    with source_status.opened_store() as engine:
        sources = judged_sources(engine, with_deleted=True)
    if as_json:
        print_json([_as_json(source) for source in sources])
    elif not sources:
        print_line("There is no source yet. Create one with: onepassword-source apply source.json")
    elif len(sources) > overview.DETAILED_MAX:
        print_table(overview.build_table(COLUMNS, map(_line, sources)))
    else:
        print_line(_table(sources))


def _table(sources: list[SourceStatus]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name", header_style="dim", max_width=NAME_CELLS, overflow="fold")
    table.add_column("state", header_style="dim", no_wrap=True)
    table.add_column("events", header_style="dim", justify="right", no_wrap=True)
    table.add_column("APIs", header_style="dim")
    table.add_column("base URL", header_style="dim", overflow="fold")
    for source in sources:
        table.add_row(*_line(source))
    return table


def _line(source: SourceStatus) -> tuple[Text, ...]:
    cells = (
        printable(source.name),
        health(source),
        f"{_events(source):,}",
        ", ".join(stream.api for stream in source.streams),
        printable(source.base_url.removeprefix("https://")),
    )
    return tuple(Text(cell, _style(source)) for cell in cells)


def _style(source: SourceStatus) -> str:
    return "dim" if source.deleted_ns is not None else ""


def _events(source: SourceStatus) -> int:
    return sum(stream.events for stream in source.streams)


def _as_json(source: SourceStatus) -> SourceRecord:
    return {
        "source": source.name,
        "source_id": source.id,
        "health": health(source),
        "apis": [stream.api for stream in source.streams],
        "events": _events(source),
        "base_url": source.base_url,
        "stopped_since": format_rfc3339(source.paused_ns),
        "deleted_at": format_rfc3339(source.deleted_ns),
    }
