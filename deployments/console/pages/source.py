"""The page of one source: its health, states, coverage and configuration, and what an operator can do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks import clock
from blocks.coverage.gaps import KEPT_NS, GapKind
from blocks.store import audit_log, coverage_record, health_log, state_spans
from deployments.console import source_actions
from deployments.console.source_rows import find_row
from deployments.console.view import action, page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.source_rows import SourceRow
    from deployments.console.view import View

DAY_NS = 86_400 * 10**9
SPANS_NS = {"day": DAY_NS, "week": 7 * DAY_NS, "month": 30 * DAY_NS}
NOT_FOUND = 404


def source(view: View) -> Response:
    """One source, deleted or not."""
    row = find_row(view.engine, view.path("id"))
    if row is None:
        return _unknown(view)
    length = view.query("span") if view.query("span") in SPANS_NS else "day"
    now_ns = clock.now_ns()
    since_ns = now_ns - SPANS_NS[length]
    made = coverage_record.report_of(view.engine, row.source.id, row.source.name, now_ns - KEPT_NS, with_lags=True)
    logged = health_log.events_since(view.engine, [row.source.id], since_ns=now_ns - 30 * DAY_NS)
    return view.render(
        "source.html",
        row=row,
        length=length,
        since_ns=since_ns,
        until_ns=now_ns,
        states=state_spans.since(view.engine, row.source.id, since_ns),
        health_events=logged[::-1],
        report=made,
        gaps=[one for one in made.gaps if one.gap.kind is not GapKind.BEFORE],
        records=audit_log.of_source(view.engine, row.source.id),
    )


def act(view: View) -> Response:
    """What an operator does to a source: see `source_actions.ACTIONS`."""
    row = find_row(view.engine, view.path("id"))
    wanted = source_actions.ACTIONS.get(view.path("action"))
    if row is None or wanted is None or not view.can_act:
        return _unknown(view)
    job = view.console.jobs.start(
        f"{wanted.title} {row.source.name}", view.actor, lambda job: wanted.work(job, row.source.name, view.form)
    )
    return view.redirect(f"/actions/{job.id}", back=_back(row, view))


def _back(row: SourceRow, view: View) -> str:
    return "/" if view.path("action") == "delete" else f"/sources/{row.source.id}"


def _unknown(view: View) -> Response:
    return view.render("error.html", NOT_FOUND, title="Unknown source", message="There is no such source.", hint="")


ROUTES = [
    Route("/sources/{id}", page(source)),
    Route("/sources/{id}/{action}", action(act), methods=["POST"]),
]
