"""The state of each API of a source: a table for a terminal, a record for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from blocks import clock
from deployments.terminal_output import format_rfc3339, format_time

if TYPE_CHECKING:
    from blocks.store.source_status import SourceStatus, StreamStatus
    from deployments.json_records.sources import StreamRecord

COLUMNS = ("API", "state", "events", "newest event (UTC)", "event lag", "collector lag")
NUMBERS = ("events", "event lag", "collector lag", "last hour", "last 24 h")
SHORT = {"not read yet": "not read"}


def stream_table(source: SourceStatus) -> Table:
    """One row for each API, at most 80 columns wide."""
    table = new_table(COLUMNS)
    for stream in source.streams:
        state = "in error" if stream.stopped else SHORT.get(stream.state, stream.state)
        table.add_row(
            stream.api,
            Text(state, {"in error": "red", "retrying": "yellow"}.get(state, "")),
            f"{stream.events:,}",
            format_time(stream.newest_ns).removesuffix("Z"),
            _words(stream.lag_ns),
            _words(stream.collector_lag_ns),
        )
    return table


def new_table(titles: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        justify = "right" if title in NUMBERS else "left"
        table.add_column(title, justify=justify, header_style="dim", no_wrap=True)  # type: ignore[arg-type]
    return table


def stream_as_json(stream: StreamStatus) -> StreamRecord:
    """The record of one API, with times in RFC 3339."""
    failing = stream.failing_since_ns is not None
    return {
        "api": stream.api,
        "state": stream.state,
        "events": stream.events,
        "pruned": stream.pruned,
        "quarantined": stream.quarantined,
        "late": stream.late,
        "missed": stream.missed,
        "changed": stream.changed,
        "in_future": stream.in_future,
        "newest_event": format_rfc3339(stream.newest_ns),
        "event_lag_seconds": _seconds(stream.lag_ns),
        "collector_lag_seconds": _seconds(stream.collector_lag_ns),
        "cursor_moved": format_rfc3339(stream.cursor_ns),
        "last_page": format_rfc3339(stream.progress_ns),
        "last_drained": format_rfc3339(stream.drained_ns),
        "failing_since": format_rfc3339(stream.failing_since_ns),
        "failed_attempts": stream.failed_attempts,
        "last_attempt": format_rfc3339(stream.error_ns) if failing else None,
        "next_attempt": format_rfc3339(stream.retries_ns),
        "error_type": stream.error_type,
        "error": stream.error_message,
    }


def _seconds(span_ns: int | None) -> float | None:
    return None if span_ns is None else round(span_ns / 1e9, 3)


def _words(span_ns: int | None) -> str:
    return "" if span_ns is None else clock.format_span(span_ns)
