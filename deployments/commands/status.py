"""`onepassword-source status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from blocks import clock
from blocks.store import reading
from deployments.commands.present import iso_of, joined, plain, say, say_json, span_of, time_of

if TYPE_CHECKING:
    from blocks.store.reading import SourceStatus, StreamStatus

LATE_SECONDS = 3 * 300  # three ticks of the schedule
STYLES = {"healthy": "bold green", "in error": "bold red"}
COLUMNS = ("API", "events", "newest event (UTC)", "lag", "cursor", "state")
NUMBERS = ("events", "lag", "cursor")


def run(name: str | None, *, as_json: bool) -> int:
    """Print the status; 1 where a source is in error."""
    sources = reading.sources(reading.open_store(), name)
    if as_json:
        say_json([_as_json(source) for source in sources])
    elif not sources:
        say("There is no source yet. Create one with: onepassword-source apply source.json")
    for source in [] if as_json else sources:
        _show(source)
    return 1 if any(source.in_error for source in sources) else 0


def health(source: SourceStatus) -> str:
    """`healthy`, `retrying`, `in error`, `late` (no sign of life for three ticks), or `not run yet`."""
    if source.in_error:
        return "in error"
    if any(stream.state == "retrying" for stream in source.streams):
        return "retrying"
    if source.state_ns is None:
        return "not run yet"
    seen_ns = max([source.state_ns, *(stream.progress_ns or 0 for stream in source.streams)])
    return "late" if clock.now_ns() - seen_ns > LATE_SECONDS * 10**9 else "healthy"


def _show(source: SourceStatus) -> None:
    how = health(source)
    since = f"{source.state} {span_of(source.state_ns)} ago" if source.state_ns is not None else source.state
    say(joined((source.name, "bold"), (how, STYLES.get(how, "bold yellow")), (since, ""), (source.base_url, "dim")))
    if source.message:
        say(f"  {plain(source.message)}")
    say(table(source))
    for stream in source.streams:
        if stream.error_message and stream.error_message not in source.message:
            say(f"  {stream.api}: {plain(stream.error_message)}")
    say("")


def table(source: SourceStatus) -> Table:
    """A row for each API, in at most 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        justify = "right" if title in NUMBERS else "left"
        table.add_column(title, justify=justify, header_style="dim", no_wrap=title != "state")  # type: ignore[arg-type]
    for stream in source.streams:
        table.add_row(
            stream.api,
            f"{stream.events:,}",
            time_of(stream.newest_ns).removesuffix("Z"),
            span_of(stream.newest_ns),
            span_of(stream.cursor_ns),
            stream.state + (f", {stream.quarantined:,} in quarantine" if stream.quarantined else ""),
        )
    return table


def _as_json(source: SourceStatus) -> dict[str, Any]:
    return {
        "name": source.name,
        "id": source.id,
        "base_url": source.base_url,
        "account_uuid": source.account_uuid,
        "health": health(source),
        "state": source.state,
        "in_error": source.in_error,
        "state_since": iso_of(source.state_ns),
        "message": source.message,
        "flow_run_id": source.run_id,
        "apis": [stream_as_json(stream) for stream in source.streams],
    }


def stream_as_json(stream: StreamStatus) -> dict[str, Any]:
    """What is known of one API, with times in RFC 3339."""
    return {
        "api": stream.api,
        "state": stream.state,
        "events": stream.events,
        "quarantined": stream.quarantined,
        "newest_event": iso_of(stream.newest_ns),
        "cursor_moved": iso_of(stream.cursor_ns),
        "last_page": iso_of(stream.progress_ns),
        "last_drained": iso_of(stream.drained_ns),
        "failing_since": iso_of(stream.failing_since_ns),
        "error_type": stream.error_type,
        "error": stream.error_message,
    }
