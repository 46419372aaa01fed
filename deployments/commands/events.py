"""`onepassword-source events`: show or export stored events. It streams them, so memory use is constant."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from blocks.errors import ThirdPartyConfigError
from blocks.store import names, source_status
from deployments.commands.support.event_filters import EventFilters
from deployments.commands.support.options import APIS, Apis, Json, Name, Output, parse_time_option
from deployments.commands.support.output_file import output_file
from deployments.commands.support.usage import invalid_value
from deployments.event_formats import (
    FORMATS,
    SUFFIXES,
    write_csv,
    write_json,
    write_ndjson,
    write_parquet,
    write_table,
)
from deployments.terminal_output import ERROR, OUT, print_note, wait_for_more

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Engine

    from blocks.store.source_status import SourceStatus, StoredEvent, StreamStatus

FOLLOW_LAST = 10
"""So many stored events are shown first, unless --last or --since is given."""


@dataclass(frozen=True)
class EventsOptions:
    """The options of the command line, checked."""

    apis: tuple[str, ...]
    since_ns: int | None
    until_ns: int | None
    output_format: str
    last: int | None
    filters: EventFilters


DETAILS = """
It shows who did what, and from where. All filters together select the events. Case does not matter, and * matches
anything.

--output writes the format that the file name ends with: .csv, .ndjson or .jsonl (each body as it was received, one on
each line), .json, or .parquet (which needs the extra `parquet`).
"""


def command(
    name: Name,
    api: Apis = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Events of that time or later: 24h, 7d, 2026-11-01, or RFC 3339."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Events before that time.")] = None,
    last: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the newest N.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="WHO", help="An email address, a name or a UUID; * matches anything.")
    ] = None,
    ip: Annotated[str | None, typer.Option(metavar="IP", help="An address, or a network: 10.0.0.0/8.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="As the table shows it, or the type.")] = None,
    country: Annotated[str | None, typer.Option(metavar="CC", help="Two letters, such as DE.")] = None,
    item: Annotated[
        str | None, typer.Option(metavar="ITEM", help="Events about that item: its UUID, or its imported name.")
    ] = None,
    vault: Annotated[
        str | None,
        typer.Option(
            metavar="VAULT", help="Events about that vault, or an item in it: its UUID, or its imported name."
        ),
    ] = None,
    match: Annotated[str | None, typer.Option(metavar="TEXT", help="Events with that text anywhere in them.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new events, until Ctrl-C.")] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, ndjson (the bodies as received), csv, json or parquet. Default: as FILE ends.",
        ),
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Write the events. Raises ThirdPartyConfigError for an unknown source, API or format, and for an invalid time."""
    filters = EventFilters(user, ip, action, country, item, vault, match)
    form = _output_format("json" if as_json and form is None else form, output, follow=follow)
    if follow and last is None and since is None:
        last = FOLLOW_LAST
    options = EventsOptions(_apis(api or []), *_window(since, until), form, last, filters)
    filters.check()
    with source_status.opened_store() as engine:
        source = source_status.sources(engine, name)[0]
        if item or vault:
            options = replace(options, filters=replace(filters, names=names.name_by_uuid(engine)))
        streams = [stream for stream in source.streams if not options.apis or stream.api in options.apis]
        if output is None or str(output) == "-":
            _print(engine, source, streams, options, follow=follow)
        else:
            _write_file(engine, source, streams, options, output)


def _print(
    engine: Engine, source: SourceStatus, streams: Sequence[StreamStatus], options: EventsOptions, *, follow: bool
) -> None:
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    seen = source_status.last_ids(engine, streams) if follow else {}
    with suppress(KeyboardInterrupt) if follow else nullcontext():  # Ctrl-C is the way to end --follow
        written = _write(options.output_format, source, _select(engine, streams, options), sys.stdout, lines=follow)
        if follow:
            _follow(source, streams, options, seen)
        elif not written and options.output_format == "table":
            print_note("No events match.")


def _follow(
    source: SourceStatus, streams: Sequence[StreamStatus], options: EventsOptions, seen: dict[int, int]
) -> None:
    """Write new events, in the order in which they are stored, until Ctrl-C or until the reader of a pipe ends."""
    while True:
        sys.stdout.flush()
        wait_for_more()
        with source_status.opened_store() as engine:
            new = [event for stream in streams for event in source_status.events_after(engine, stream, seen[stream.id])]
            ids = {stream.api: stream.id for stream in streams}
        for event in new:
            seen[ids[event.api]] = max(seen[ids[event.api]], event.id)
        found = options.filters.apply(sorted(new, key=lambda event: event.time_ns))
        _write(options.output_format, source, found, sys.stdout, lines=True, titles=False)


def _write_file(
    engine: Engine, source: SourceStatus, streams: Sequence[StreamStatus], options: EventsOptions, output: Path
) -> None:
    total = source_status.count(engine, streams, options.since_ns, options.until_ns) if sys.stderr.isatty() else 0
    with _progress(0 if options.last else total) as counted:
        found = _select(engine, streams, options, counted)
        if options.output_format == "parquet":
            with output_file(output, binary=True) as file:
                written = write_parquet(source, found, file)
        else:
            with output_file(output) as file:
                written = _write(options.output_format, source, found, file)
    print_note(f"{written:,} event{'' if written == 1 else 's'} written to {output}.")


def _select(
    engine: Engine,
    streams: Sequence[StreamStatus],
    options: EventsOptions,
    counted: Callable[[Iterable[StoredEvent]], Iterable[StoredEvent]] = lambda events: events,
) -> Iterable[StoredEvent]:
    """The selected events, oldest first."""
    between = {"since_ns": options.since_ns, "until_ns": options.until_ns}
    if options.last is None:
        return options.filters.apply(counted(source_status.events(engine, streams, **between)))
    newest = options.filters.apply(source_status.newest_events(engine, streams, **between))
    return reversed(list(islice(newest, options.last)))


def _output_format(named: str | None, output: Path | None, *, follow: bool) -> str:
    """The value of --format, or the format that the file name ends with."""
    is_file = output is not None and str(output) != "-"
    form = named or (SUFFIXES.get(output.suffix.lower(), "table") if output is not None else "table")
    if form not in FORMATS:
        raise invalid_value("--format", form, FORMATS)
    if form == "parquet" and not is_file:
        raise ThirdPartyConfigError("Parquet needs a file.", hint="Add --output FILE.parquet.", code="usage")
    if follow and is_file:
        raise ThirdPartyConfigError(
            "--follow writes to standard output.",
            hint="Leave --output out, and redirect standard output.",
            code="usage",
        )
    return form


def _apis(given: list[str]) -> tuple[str, ...]:
    for api in given:
        if api not in APIS:
            raise invalid_value("--api", api, APIS)
    return tuple(given)


def _window(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    since_ns, until_ns = parse_time_option("--since", since), parse_time_option("--until", until)
    if since_ns is not None and until_ns is not None and since_ns >= until_ns:
        raise ThirdPartyConfigError(
            f"--since {since} is not before --until {until}.", hint="Swap the two.", code="usage"
        )
    return since_ns, until_ns


def _write(
    form: str,
    source: SourceStatus,
    events: Iterable[StoredEvent],
    file: IO[str],
    *,
    lines: bool = False,
    titles: bool = True,
) -> int:
    """Write the events; returns how many."""
    if form == "ndjson":
        return write_ndjson(events, file)
    if form == "json":
        return write_json(source, events, file, lines=lines)
    if form == "csv":
        return write_csv(source, events, file, titles=titles)
    return write_table(events, file, OUT.width if file.isatty() else None, titles=titles)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Iterable[StoredEvent]], Iterable[StoredEvent]]]:
    if not total:
        yield lambda events: events
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=ERROR) as progress:
        yield lambda events: progress.track(events, total=total, update_period=0.2)
