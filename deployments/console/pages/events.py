"""Search the store: a list of events, their histogram and most frequent values, one event beside the list, exports."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, sources
from blocks.store.search import counts, run_indexer
from blocks.store.search.results import search
from deployments.console import event_charts
from deployments.console.event_address import DEFAULT, LABELS, PRESETS, EventAddress, position_text
from deployments.console.event_details import event_details, raw_body
from deployments.console.event_export import MEDIA, export
from deployments.console.event_rows import event_rows, known_names, words_of
from deployments.console.event_suggestions import id_of, suggest
from deployments.console.templates import query_string
from deployments.console.view import console_limiter, page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from deployments.console.event_details import EventDetails
    from deployments.console.view import View

NOT_FOUND = 404
LIMIT = 50
_EXPORT_ID = re.compile(r"[\w-]{1,40}")
_EVENT_ID = re.compile(r"\d{1,18}")


def events(view: View) -> Response:
    """The newest events that match, a page of them; `?event=` opens one beside the list."""
    address = EventAddress.of(view)
    if (name := view.query("add")) in LABELS and (value := view.query("value").strip()):
        return view.redirect(f"/events{query_string(address.adding(name, id_of(view.reader, name, value)))}")
    problem, found = "", None
    try:
        found = search(view.reader, address.query(), address.position, LIMIT)
    except ThirdPartyConfigError as error:
        problem = str(error)
    rows = event_rows(view.reader, found.events) if found else []
    opened = event_details(view.reader, int(view.query("event"))) if _EVENT_ID.fullmatch(view.query("event")) else None
    return view.render(
        "events.html",
        address=address,
        rows=rows,
        problem=problem,
        is_cut=found.is_cut if found else False,
        after=position_text(found.after) if found else "",
        index=run_indexer.status(view.reader),
        has_events=bool(rows) or counts.span(view.reader) is not None,
        sources=sources.names_by_id(view.reader),
        names=known_names(view.reader, {value for values in address.filters.values() for value in values}),
        labels=LABELS,
        presets=PRESETS,
        default=DEFAULT,
        searched_to_ns=found.after.time_ns if found and found.after else None,
        **_detail_context(view, opened),
    )


def event(view: View) -> Response:
    """One event, as a page of its own or as the part beside the list."""
    opened = event_details(view.reader, int(view.path("event")))
    if opened is None:
        return view.render(
            "error.html",
            NOT_FOUND,
            title="Unknown event",
            message="There is no such event in the store.",
            hint="It may have been pruned, or its source purged, since the address was made.",
        )
    address = EventAddress.of(view)
    template = "event_detail.html" if view.request.headers.get("x-requested-with") == "console" else "event.html"
    return view.render(template, address=address, **_detail_context(view, opened))


def body(view: View) -> Response:
    """The body of an event, byte for byte, as a file."""
    stored = raw_body(view.reader, int(view.path("event")))
    if stored is None:
        return Response(status_code=NOT_FOUND)
    headers = {"Content-Disposition": f'attachment; filename="event-{view.path("event")}.json"'}
    return Response(stored, media_type="application/json", headers=headers)


def summary(view: View) -> Response:
    """The histogram and the most frequent values, which the page requests after the list."""
    address = EventAddress.of(view)
    query = address.query()
    span = event_charts.fitted_span((query.since_ns, query.until_ns), counts.span(view.reader))
    histogram = None
    if span is not None:
        bounded = replace(query, since_ns=span[0], until_ns=span[1])
        histogram = counts.histogram(view.reader, bounded, event_charts.bucket_ns(*span))
    frequent = counts.frequent_values(view.reader, query)
    return view.render(
        "event_counts.html",
        address=address,
        histogram=histogram,
        bars=event_charts.bars(histogram) if histogram else [],
        frequent=frequent,
        names=known_names(view.reader, {one.value for values in frequent.members.values() for one in values}),
        labels=LABELS,
        width=event_charts.WIDTH,
        height=event_charts.HEIGHT,
    )


def suggestions(view: View) -> Response:
    """Values of the parameter `?member=` that begin with `?q=`, or whose name has it, for a form."""
    member, typed = view.query("member"), view.query("q").strip()[:200]
    if member not in LABELS or not typed:
        return JSONResponse([])
    return JSONResponse([{"value": one.value, "name": one.name} for one in suggest(view.reader, member, typed)])


def download(view: View) -> Response:
    """What is shown, whole, as `?format=` ndjson, csv or parquet. `?id=` names its progress."""
    form = view.query("format")
    if form not in MEDIA:
        raise ThirdPartyConfigError(f"{form!r} is not a format.", hint=f"Use one of {', '.join(MEDIA)}.")
    query = EventAddress.of(view).query()
    export_id = view.query("id") if _EXPORT_ID.fullmatch(view.query("id")) else "unnamed"
    with audit_log.acting_as(view.actor):
        audit_log.append(view.engine, "events export", "", "", format=form)
    parts = export(view.reader, query, form, view.console.exports.begin(export_id))
    first = next(parts)  # an error before the first part is a page, not a broken file
    name = f"events-{clock.now_ns() // 10**9}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_streamed(first, parts), media_type=MEDIA[form], headers=headers)


def progress(view: View) -> Response:
    """How far an export is."""
    found = view.console.exports.find(view.path("export"))
    if found is None:
        return JSONResponse({}, NOT_FOUND)
    return JSONResponse({"written": found.written, "ended": found.ended, "error": found.error})


async def _streamed(first: bytes, parts: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """Each part is made in a thread of the console's own, when the browser has taken the part before."""
    try:
        yield first
        while (part := await anyio.to_thread.run_sync(next, parts, None, limiter=console_limiter())) is not None:
            yield part
    finally:
        with anyio.CancelScope(shield=True):  # the browser may have ended the download
            await anyio.to_thread.run_sync(parts.close, limiter=console_limiter())


def _detail_context(view: View, opened: EventDetails | None) -> dict[str, Any]:
    if opened is None:
        return {"opened": None, "row": None}
    (row,) = event_rows(view.reader, [opened.hit])
    return {"opened": opened, "row": row, "words": words_of(opened.hit.api, row.members)}


ROUTES = [
    Route("/events", page(events)),
    Route("/events/counts", page(summary)),
    Route("/events/suggestions", page(suggestions)),
    Route("/events/export", page(download)),
    Route("/events/exports/{export}", page(progress)),
    Route("/events/{event:int}", page(event)),
    Route("/events/{event:int}/body", page(body)),
]
