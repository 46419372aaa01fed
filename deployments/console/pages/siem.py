"""The page of one SIEM: its pairs, a test, a replay, and the events that it rejected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from starlette.routing import Route

from blocks import clock
from blocks.durations import parse_time
from blocks.errors import ThirdPartyConfigError
from blocks.store.forwarding import forward_pairs, rejected_events, replay
from deployments.console import siem_actions
from deployments.console.pair_rows import pair_rows
from deployments.console.siem_actions import SiemRequest
from deployments.console.view import action, page
from deployments.siem_test import SiemTest

if TYPE_CHECKING:
    from starlette.responses import Response

    from blocks.store.forwarding.rejected_events import EventKey, RejectedEventView
    from deployments.console.jobs import Job
    from deployments.console.pair_rows import PairRow
    from deployments.console.view import View

NOT_FOUND = 404
_KEY = re.compile(r"(\d{1,18})\.(\d{1,18})")


class RejectedPage(NamedTuple):
    """Rejected events of a pair, and the address of the next page; None if these are the last."""

    row: PairRow
    events: list[RejectedEventView]
    next: dict[str, str] | None


class ReplayPlan(NamedTuple):
    """What a replay would do: `number` events were sent already. `problem`: why the time cannot be used."""

    text: str
    source: str
    since_ns: int | None = None
    number: int = 0
    problem: str = ""


def siem(view: View) -> Response:
    """One SIEM. `?test=` shows a test's job, `?from=` plans a replay."""
    name = view.path("name")
    rows = pair_rows(view.reader, view.console.rates, name)
    if not rows:
        return _unknown(view)
    return view.render(
        "siem.html",
        name=name,
        rows=rows,
        test=_test(view, name),
        plan=_plan(view, name),
        rejected=[_rejected(view, row) for row in rows if row.rejected],
    )


def act(view: View) -> Response:
    """What an operator does with a SIEM: see `siem_actions.ACTIONS`. The form's `action` names it."""
    name = view.path("name")
    word = view.form.get("action", "")
    wanted = siem_actions.ACTIONS.get(word)
    if wanted is None or not view.can_act or not forward_pairs.find_all(view.reader, name):
        return _unknown(view)
    request = SiemRequest(view.engine, name, view.form)
    job = view.console.jobs.start(f"{wanted.title} {name}", view.actor, lambda job: wanted.work(job, request))
    own = f"/siems/{quote(name, safe='')}"
    return view.redirect(own, test=job.id) if word == "test" else view.redirect(f"/actions/{job.id}", back=own)


def _test(view: View, name: str) -> Job | None:
    job = view.console.jobs.find(view.query("test"))
    is_of_siem = job is not None and job.title == f"{siem_actions.ACTIONS['test'].title} {name}"
    return job if is_of_siem and (job is None or job.result is None or isinstance(job.result, SiemTest)) else None


def _plan(view: View, name: str) -> ReplayPlan | None:
    text, source = view.query("from").strip(), view.query("source")
    if not text:
        return None
    try:
        since_ns = parse_time(text, clock.now_ns())
        pairs = forward_pairs.require(view.reader, name, source or None)
    except ThirdPartyConfigError as error:
        return ReplayPlan(text, source, problem=str(error))
    number = sum(replay.count_sent_since(view.reader, pair, since_ns) for pair in pairs)
    return ReplayPlan(text, source, since_ns, number)


def _rejected(view: View, row: PairRow) -> RejectedPage:
    events = rejected_events.list_page(view.reader, row.pair.id, _after(view, row))
    more = len(events) == rejected_events.PAGE
    key = ".".join(map(str, events[-1].key)) if more else ""
    return RejectedPage(row, events, {"pair": row.pair.id, "after": key} if more else None)


def _after(view: View, row: PairRow) -> EventKey:
    found = _KEY.fullmatch(view.query("after"))
    return (int(found[1]), int(found[2])) if found and view.query("pair") == row.pair.id else (-1, -1)


def _unknown(view: View) -> Response:
    return view.render("error.html", NOT_FOUND, title="Unknown SIEM", message="There is no such SIEM.", hint="")


ROUTES = [
    # A name may hold a slash.
    Route("/siems/{name:path}", page(siem)),
    Route("/siems/{name:path}", action(act), methods=["POST"]),
]
