"""Insight: what happens in the accounts, for teams without a SIEM, and as a check for those with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks.events_api import action_words
from blocks.store import source_status
from blocks.store.insight.report import build_report
from blocks.store.search.run_indexer import status
from deployments.console import world_map
from deployments.console.charts import share
from deployments.console.insight_view import LATENESS, PRESETS, InsightView, read_span
from deployments.console.view import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.view import View


def insight(view: View) -> Response:
    """The figures of `?last=7d`, or of `?from=` and `?to=`, of one source (`?source=` its id) or of all."""
    sources = source_status.sources(view.reader)
    chosen = next((one.id for one in sources if view.query("source") in {one.id, one.name}), None)
    span = read_span(view.query("last"), view.query("from"), view.query("to"), chosen)
    report = build_report(view.reader, span.query, view.console.counts)
    return view.render(
        "insight.html",
        shown=InsightView(view.reader, report, span),
        report=report,
        span=span,
        presets=PRESETS,
        sources=sources,
        chosen=chosen,
        world=world_map,
        index=status(view.reader),
        words=action_words,
        lateness=LATENESS,
        share=share,
    )


ROUTES = [Route("/insight", page(insight))]
