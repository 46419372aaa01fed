"""`onepassword-source status`: the health and the events of sources, read from the store without Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.store import fields, source_status
from blocks.store.forwarding import forward_status
from blocks.store.source_health import health, health_since_ns, judged_sources
from deployments import up_health
from deployments.commands.support import overview
from deployments.commands.support.options import Json, OneSource
from deployments.commands.support.pair_json import pair_as_json
from deployments.commands.support.pair_line import summary_line
from deployments.commands.support.retries import retry_line
from deployments.commands.support.status_table import new_table, stream_as_json, stream_table
from deployments.commands.support.usage import invalid_value
from deployments.terminal_output import (
    format_age,
    format_minute,
    format_rfc3339,
    format_time,
    join_styled,
    print_fitting,
    print_indented,
    print_json,
    print_line,
    print_note,
    print_table,
    printable,
    severity_style,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.fields import DroppedField
    from blocks.store.forwarding.forward_status import PairStatus
    from blocks.store.source_status import EventCounts, OpenCondition, SourceStatus, UnfinishedBackfill
    from deployments.json_records.sources import EventCountsRecord, OpenConditionRecord, StatusRecord
    from deployments.up_health import Trouble

FORMATS = ("table", "json", "prometheus")
FAILED = frozenset({"in error", "not running"})
NOT_STARTED = "No run has begun yet. Start `onepassword-source up` if it does not run."
STYLES = {"healthy": "bold green", "in error": "bold red", "not running": "bold red"}
PACE_COLUMNS = ("API", "last success (UTC)", "last hour", "last 24 h", "by the hour, to now")
BARS = "▁▂▃▄▅▆▇█"
EMPTY_BAR = "·"

DETAILS = """
It shows since when the source has its health, its open conditions, and what to do; for each API the stored events, the
newest event, the two lags, the last success, which attempt a retry is at, and the last 24 hours; and one line for each
SIEM. With more than five sources, each has one line, errors first; give a name for details.

Event lag is the median age of the events in the last page when they were received: the delay at 1Password. Collector
lag is the time since the last complete read of the API began (last success): the delay of this program.

Last hour and last 24 h are exact. The bars show 24 hours of the clock, the current hour last, by the time of the
events. Each API has its own scale, and a dot is an hour without events. Late events are added to the hour in which they
happened.
"""


def command(
    name: OneSource = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table, json or prometheus (metrics for a scraper)."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Print the status. Returns 1 if a source is in error or not running, or if `up` has a problem.

    Raises ThirdPartyConfigError for an unknown source or format.
    """
    form = _output_format(form, as_json=as_json)
    with source_status.opened_store() as engine:
        sources = judged_sources(engine, name)
        if form == "prometheus":
            from deployments.one_machine import metrics, store_measures  # noqa: PLC0415 - 0.1 s for this format alone

            names = {source.name for source in sources}
            forwards = [one for one in forward_status.pairs(engine) if one.source in names]
            metrics.print_metrics(sources, forwards, store_measures.measure(engine))
        elif form == "json":
            read = _load_details(engine, sources)
            print_json([_as_json(source, read) for source in sources])
        else:
            _show_all(sources, _load_details(engine, sources))
    return 1 if _troubles_of_up() or any(health(source) in FAILED for source in sources) else 0


def _output_format(named: str | None, *, as_json: bool) -> str:
    form = named or ("json" if as_json else "table")
    if form not in FORMATS:
        raise invalid_value("--format", form, FORMATS)
    if as_json and form != "json":
        raise ThirdPartyConfigError(
            f"--json means --format json, which contradicts --format {form}.", hint="Leave one out.", code="usage"
        )
    return form


@dataclass(frozen=True)
class _Details:
    """What is read for all sources at once, by source name or id, or by stream id."""

    forwards: dict[str, list[PairStatus]]
    paces: dict[int, EventCounts]
    backfills: dict[str, list[UnfinishedBackfill]]
    dropped: dict[str, tuple[DroppedField, ...]]


def _load_details(engine: Engine, sources: list[SourceStatus]) -> _Details:
    forwards: dict[str, list[PairStatus]] = {}
    for one in forward_status.pairs(engine, source=sources[0].name if len(sources) == 1 else None):
        forwards.setdefault(one.source, []).append(one)
    streams = [stream for source in sources for stream in source.streams]
    return _Details(
        forwards=forwards,
        paces=source_status.event_counts(engine, streams, clock.now_ns()),
        backfills=source_status.unfinished_backfills(engine),
        dropped=fields.dropped_by_source(engine),
    )


def _show_all(sources: list[SourceStatus], read: _Details) -> None:
    if not sources:
        print_line("There is no source yet. Create one with: onepassword-source apply source.json")
    for trouble in _troubles_of_up():
        print_indented(printable(f"Problem since {format_minute(int(trouble.since * 1e9))}: {trouble.text}"), 0)
        print_line("")
    for warning in up_health.warnings_now():
        print_indented(printable(f"Warning since {format_minute(int(warning.since * 1e9))}: {warning.text}"), 0)
        print_line("")
    if len(sources) > overview.DETAILED_MAX:
        _show_overview(sources, read)
        return
    for number, source in enumerate(sources):
        if number:
            print_line("")
        _show(source, read)


def _troubles_of_up() -> list[Trouble]:
    """Problems that the running `up` found in itself. Runs are judged here for each source."""
    return [one for one in up_health.troubles_now() if one.what != "runs"]


def _show_overview(sources: list[SourceStatus], read: _Details) -> None:
    healths = {source.id: health(source) for source in sources}
    worst_first = sorted(sources, key=lambda source: (overview.urgency(healths[source.id]), source.name))
    print_table(
        overview.build_table(overview.COLUMNS, (_line(source, healths[source.id], read) for source in worst_first))
    )
    print_line("")
    print_line(overview.summary((healths[source.id] for source in worst_first), "sources"))
    print_note("For details: onepassword-source status NAME")


def _line(source: SourceStatus, how: str, read: _Details) -> tuple[Text, ...]:
    styled = how, STYLES.get(how, "bold yellow")
    paces = (read.paces[stream.id] for stream in source.streams)
    return overview.source_row(source, styled, health_since_ns(source), paces, read.forwards.get(source.name, ()))


def _show(source: SourceStatus, read: _Details) -> None:
    print_line(_head(source))
    _print_last_run(source)
    print_line("")
    print_fitting(stream_table(source))
    print_line("")
    print_fitting(_pace_table(source, read))
    if source.open:
        print_line("")
    for one in source.open:
        _print_condition(one, message=source.message)
    for field in read.dropped[source.id]:
        print_indented(printable(field.sentence), 2)
    _print_stream_notes(source)
    for backfill in read.backfills.get(source.id, ()):
        print_indented(printable(_backfill_line(source, backfill)), 2)
    for forward in read.forwards.get(source.name, ()):
        print_indented(summary_line(forward), 2, lead="→ ")


def _head(source: SourceStatus) -> Text:
    how, since_ns = health(source), health_since_ns(source)
    since = f"since {format_minute(since_ns)} ({format_age(since_ns)})" if since_ns is not None else ""
    return join_styled(
        (source.name, "bold"),
        (f"{how} {since}".strip(), STYLES.get(how, "bold yellow")),
        (source.base_url, "dim"),
    )


def _print_last_run(source: SourceStatus) -> None:
    when = f"{source.state} {format_age(source.state_ns)} ago" if source.state_ns is not None else source.state
    message = source.message.removeprefix(f"{source.state}: ")
    print_indented(f"{when}: {printable(message)}" if message else when, 2)
    if health(source) == "not run yet":
        print_indented(NOT_STARTED, 2)


def _print_condition(one: OpenCondition, *, message: str) -> None:
    api = one.tracker.partition("/")[2] or "all"
    level = Text(f"{one.severity.lower():9}", severity_style(one.severity))
    since = f"  since {format_minute(one.since_ns)} ({format_age(one.since_ns)})"
    print_indented(Text.assemble(level, f"{printable(api):9}  ", (printable(one.name), "bold"), since), 2)
    if one.description not in message:
        print_indented(printable(one.description), 4)
    if one.hint and one.hint not in message:
        print_indented(printable(one.hint), 4, lead="→ ")


def _print_stream_notes(source: SourceStatus) -> None:
    """Print retries, errors that are not an open condition, quarantined items, and events dated in the future."""
    for stream in source.streams:
        if retry := retry_line(stream):
            print_indented(retry, 2)
        if stream.error_message and not _is_shown(stream.error_message, source):
            print_indented(f"{stream.api}: {printable(stream.error_message)}", 2)
        if stream.quarantined:
            items = "item" if stream.quarantined == 1 else "items"
            print_indented(f"{stream.api}: {stream.quarantined:,} {items} in the table `quarantine`.", 2)
        if stream.in_future:
            events = "event is" if stream.in_future == 1 else "events are"
            print_indented(f"{stream.api}: {stream.in_future:,} {events} dated in the future.", 2)


def _backfill_line(source: SourceStatus, backfill: UnfinishedBackfill) -> str:
    span = (
        f"Backfill of {format_minute(backfill.start_ns)} to {format_minute(backfill.end_ns)}: {backfill.done:.0%} done"
    )
    if backfill.running:
        return f"{span}, running."
    return f"{span}. Continue it with: {command_line('backfill', source.name, options=('--resume',))}"


def _is_shown(error: str, source: SourceStatus) -> bool:
    return error in source.message or any(one.description in error for one in source.open)


def _pace_table(source: SourceStatus, read: _Details) -> Table:
    table = new_table(PACE_COLUMNS)
    for stream in source.streams:
        pace = read.paces[stream.id]
        table.add_row(
            stream.api,
            format_time(stream.drained_ns).removesuffix("Z"),
            f"{pace.last_hour:,}",
            f"{pace.last_day:,}",
            sparkline(pace.hourly),
        )
    return table


def sparkline(counts: tuple[int, ...]) -> str:
    """One bar for each count, relative to the largest; a dot for zero."""
    largest = max(counts, default=0)
    return "".join(BARS[-(-count * len(BARS) // largest) - 1] if count else EMPTY_BAR for count in counts)


def _as_json(source: SourceStatus, read: _Details) -> StatusRecord:
    return {
        "source": source.name,
        "source_id": source.id,
        "base_url": source.base_url,
        "account_uuid": source.account_uuid,
        "health": health(source),
        "health_since": format_rfc3339(health_since_ns(source)),
        "state": source.state,
        "in_error": health(source) == "in error",
        "state_since": format_rfc3339(source.state_ns),
        "message": source.message,
        "flow_run_id": source.run_id,
        "stopped_since": format_rfc3339(source.paused_ns),
        "backfills": [
            {
                "job": one.id,
                "start": format_rfc3339(one.start_ns),
                "end": format_rfc3339(one.end_ns),
                "done": round(one.done, 4),
                "running": one.running,
            }
            for one in read.backfills.get(source.id, ())
        ],
        "siems": [pair_as_json(one) for one in read.forwards.get(source.name, ())],
        "dropped_fields": [field.name for field in read.dropped[source.id]],
        "open": [_open_as_json(one) for one in source.open],
        "apis": [{**stream_as_json(stream), **_pace_as_json(read.paces[stream.id])} for stream in source.streams],
    }


def _open_as_json(one: OpenCondition) -> OpenConditionRecord:
    return {
        "tracker": one.tracker,
        "condition": one.name,
        "severity": one.severity,
        "description": one.description,
        "hint": one.hint,
        "since": format_rfc3339(one.since_ns),
    }


def _pace_as_json(pace: EventCounts) -> EventCountsRecord:
    return {"last_hour": pace.last_hour, "last_24_hours": pace.last_day, "hourly": list(pace.hourly)}
