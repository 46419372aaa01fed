"""The page of health events of all sources: what went wrong, what to do, and what ended it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks import clock
from blocks.store import health_log, source_status
from deployments.console.health_rows import HealthRow, health_rows
from deployments.console.view import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.view import View

DAY_NS = 86_400 * 10**9
TIMES = {"24h": DAY_NS, "7d": 7 * DAY_NS, "30d": 30 * DAY_NS, "all": None}
STATES = ("open", "ended", "once")
SHOWN = 200


def health(view: View) -> Response:
    """Those of `?time=`, `?severity=`, `?state=` and `?source=`, the newest first, in pages."""
    sources = source_status.sources(view.reader, with_deleted=True)
    time = view.query("time") if view.query("time") in TIMES else "7d"
    span_ns = TIMES[time]
    since_ns = 0 if span_ns is None else clock.now_ns() - span_ns
    ids = [view.query("source")] if view.query("source") else None
    rows = health_rows(health_log.events_since(view.reader, ids, since_ns=since_ns))
    wanted = [row for row in rows if _is_wanted(row, view)]
    start = view.query_number("start")
    return view.render(
        "health.html",
        rows=wanted[start : start + SHOWN],
        next=start + SHOWN if len(wanted) > start + SHOWN else None,
        total=len(wanted),
        open=[(one, source) for source in sources for one in source.open if ids is None or source.id in ids],
        sources=sources,
        known={source.id for source in sources},
        time=time,
        times=tuple(TIMES),
        states=STATES,
        query={name: view.query(name) for name in ("severity", "state", "source")} | {"time": time},
    )


def _is_wanted(row: HealthRow, view: View) -> bool:
    severity, state = view.query("severity"), view.query("state")
    return severity in {"", row.event.severity} and state in {"", row.state}


ROUTES = [Route("/health", page(health))]
