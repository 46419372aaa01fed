"""`onepassword-source status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from blocks.store import reading
from deployments.commands.present import OUT, iso_of, plain, span_of, time_of

if TYPE_CHECKING:
    from blocks.store.reading import SourceStatus, StreamStatus


def run(name: str | None, *, as_json: bool) -> int:
    """Print the status; 1 where a source is in error."""
    sources = reading.sources(reading.open_store(), name)
    if as_json:
        print(json.dumps([_as_json(source) for source in sources], indent=2))
    elif not sources:
        OUT.print("There is no source yet. Create one with: onepassword-source apply source.json")
    for source in [] if as_json else sources:
        _show(source)
    return 1 if any(source.in_error for source in sources) else 0


def _show(source: SourceStatus) -> None:
    style = "bold red" if source.in_error else "bold green"
    OUT.print(
        f"[bold]{_safe(source.name)}[/bold]  [{style}]{source.state}[/{style}] "
        f"{f'{span_of(source.state_ns)} ago' if source.state_ns else ''}  [dim]{_safe(source.base_url)}[/dim]"
    )
    if source.message:
        OUT.print(f"  {_safe(source.message)}")
    OUT.print(table(source))
    OUT.print()


def table(source: SourceStatus) -> Table:
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    for title, justify in (
        ("API", "left"),
        ("events", "right"),
        ("newest event (UTC)", "left"),
        ("lag", "right"),
        ("cursor", "right"),
        ("state", "left"),
    ):
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
        "state": source.state,
        "in_error": source.in_error,
        "state_since": iso_of(source.state_ns),
        "message": source.message,
        "flow_run_id": source.run_id,
        "apis": [_stream_as_json(stream) for stream in source.streams],
    }


def _stream_as_json(stream: StreamStatus) -> dict[str, Any]:
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


def _safe(text: str) -> str:
    return plain(text).replace("[", r"\[")
