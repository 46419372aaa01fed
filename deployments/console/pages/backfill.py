"""The page of backfills and reconciles: plan, start, progress, pause and resume. Workers read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import Route

from blocks import clock
from blocks.durations import parse_last
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import audit_log, lifecycle, source_status
from blocks.store.backfill import jobs
from deployments import deferred
from deployments.backfill_plan import BackfillPlan, group_windows, make_plan
from deployments.console.job_rows import job_rows
from deployments.console.view import action, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine
    from starlette.responses import Response

    from blocks.store.lifecycle import SourceIdentity
    from deployments.console.jobs import Job
    from deployments.console.view import View

NOT_FOUND = 404
LINES = 60
READERS_MAX, RUNS_MAX = 16, 100
BACK = "/backfill"


class PlanForm(NamedTuple):
    """What the form for a plan holds, and its plan, or the problem with it."""

    source: str
    start: str
    end: str
    apis: tuple[str, ...]
    window: str
    plan: BackfillPlan | None = None
    problem: str = ""


def backfill(view: View) -> Response:
    """All jobs, and the plan of the form `?source=ID&start=&end=&window=`."""
    form = _planned(view)
    lines = group_windows(form.plan.windows) if form.plan else []
    return view.render(
        "backfill.html",
        sources=sorted(_known(view.reader), key=lambda one: one.name),
        form=form,
        apis=tuple(Api),
        lines=lines[:LINES],
        more=max(len(lines) - LINES, 0),
        jobs=job_rows(view.reader),
    )


def _known(engine: Engine) -> list[SourceIdentity]:
    return [one for one in lifecycle.all_by_id(engine).values() if one.deleted_ns is None]


def _planned(view: View) -> PlanForm:
    chosen = tuple(str(api) for api in Api if view.query(f"api-{api}"))
    form = PlanForm(
        view.query("source"), view.query("start"), view.query("end"), chosen, view.query("window").strip() or "1d"
    )
    if not form.start.strip():
        return form
    try:
        return form._replace(plan=_plan(view.reader, form))
    except ThirdPartyConfigError as error:
        return form._replace(problem=str(error))


def _plan(engine: Engine, form: PlanForm) -> BackfillPlan:
    source = source_status.sources(engine, _source(engine, form.source).name)[0]
    return make_plan(engine, source, form.start, form.end.strip() or None, apis=form.apis, window=form.window)


def _source(engine: Engine, source_id: str) -> SourceIdentity:
    found = lifecycle.find_by_id(engine, source_id)
    if found is None or found.deleted_ns is not None:
        raise ThirdPartyConfigError("There is no such source. Nothing was started.", code="unknown-source")
    return found


def start(view: View) -> Response:
    """Create the backfill in the store, and start runs that read it."""
    form, engine = view.form, view.engine
    source = _source(engine, form.get("source", ""))
    chosen = tuple(str(api) for api in Api if form.get(f"api-{api}"))
    wanted = PlanForm(source.id, form.get("start", ""), form.get("end", ""), chosen, form.get("window", "1d"))
    readers, parallel = _number(form, "readers", 1, READERS_MAX, 4), _number(form, "parallel_runs", 0, RUNS_MAX, 0)

    def work(_: Job) -> str:
        plan = _plan(engine, wanted)
        created = jobs.start(engine, plan.wanted, plan.width_ns)
        return _run(source.name, created.id, readers, parallel)

    return _started(view, f"Backfill {source.name}", work)


def reconcile(view: View) -> Response:
    """Compare the recent past with the store, on a worker."""
    engine, last = view.engine, view.form.get("last", "").strip() or "48h"
    source = _source(engine, view.form.get("source", ""))
    parse_last(last, clock.now_ns())

    def work(_: Job) -> str:
        run = deferred.source_runs.create_job_run("reconcile", source.name, {"source": source.name, "last": last})
        audit_log.append(engine, "reconcile", source.id, source.name, last=last)
        return f"A run was started ({run}). Its progress appears on the page of backfills."

    return _started(view, f"Reconcile {source.name}", work)


def act(view: View) -> Response:
    """Pause or resume a backfill. A reconcile is over within minutes, and begins again the next day."""
    engine, word = view.engine, view.form.get("action", "")
    try:
        found = jobs.find(engine, view.path("id"))
    except ThirdPartyConfigError:
        return _unknown(view)
    source = _source(engine, found.source_id)
    if word not in {"pause", "resume"} or found.kind != jobs.BACKFILL:
        return _unknown(view)

    def pause(_: Job) -> str:
        jobs.set_paused(engine, found, paused=True)
        return "It is paused. Its runs end after their current page, and what was read stays."

    def resume(_: Job) -> str:
        jobs.set_paused(engine, found, paused=False)
        return _run(source.name, found.id, 4, 0)

    return _started(view, f"{word.capitalize()} the backfill of {source.name}", pause if word == "pause" else resume)


def _run(source: str, job_id: str, readers: int, parallel: int) -> str:
    parameters = {"source": source, "job": job_id, "readers": readers, "parallel_runs": parallel}
    run = deferred.source_runs.create_job_run("backfill", source, parameters)
    return f"A run was started ({run}). Its progress appears on the page of backfills."


def _started(view: View, title: str, work: Callable[[Job], str]) -> Response:
    if not view.can_act:
        return _unknown(view)
    job = view.console.jobs.start(title, view.actor, work)
    return view.redirect(f"/actions/{job.id}", back=BACK)


def _number(form: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    text = form.get(name, "").strip() or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ThirdPartyConfigError(
            f"{name} is not a number from {least} to {most}. Nothing was started.", code="usage"
        )
    return int(text)


def _unknown(view: View) -> Response:
    return view.render("error.html", NOT_FOUND, title="Unknown backfill", message="There is no such backfill.", hint="")


ROUTES = [
    Route("/backfill", page(backfill)),
    Route("/backfill", action(start), methods=["POST"]),
    Route("/backfill/reconcile", action(reconcile), methods=["POST"]),
    Route("/backfill/{id}", action(act), methods=["POST"]),
]
