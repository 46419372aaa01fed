"""The page of the system: what `check` says, versions, sizes, the hash chains, Prefect, and recent changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, source_status
from blocks.store.database_size import database_size
from blocks.store.search import run_indexer
from deployments.console import system_actions, system_state
from deployments.console.view import action, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from blocks.store.source_status import SourceStatus
    from deployments.console.jobs import Job
    from deployments.console.view import View

NOT_FOUND = 404
CHANGES = 100
BACK = "/system"
KINDS = {"ok": "good", "warning": "warn", "failed": "bad", "not checked": "idle"}
"""The class of the result of a check: its colour and its icon."""


def system(view: View) -> Response:
    """The installation, and the last checks of each source."""
    return view.render(
        "system.html",
        sources=source_status.sources(view.reader),
        checks=view.console.checks.all(),
        verified=audit_log.newest_of_sources(view.reader, "verify"),
        kinds=KINDS,
        up=system_state.up_state(),
        prefect=system_state.prefect_state(configured=view.console.settings.can_act),
        database=database_size(view.reader),
        index=run_indexer.status(view.reader),
        versions=system_state.versions(),
        logs=system_state.log_files(),
        disks=system_state.disks(),
        records=audit_log.newest(view.reader, CHANGES),
    )


def act(view: View) -> Response:
    """Check or verify one source, or all: the form's `action` is `check` or `verify`."""
    sources = _chosen(view)
    works: dict[str, Callable[[Job], str]] = {
        "check": partial(_check, view, sources),
        "verify": partial(_verify, view, sources),
    }
    word = view.form.get("action", "")
    if word not in works or not view.can_act:
        return view.render("error.html", NOT_FOUND, title="Unknown action", message="There is no such action.", hint="")
    what = sources[0].name if len(sources) == 1 else f"{len(sources):,} sources"
    job = view.console.jobs.start(f"{word.capitalize()} {what}", view.actor, works[word])
    return view.redirect(f"/actions/{job.id}", back=BACK)


def _check(view: View, sources: list[SourceStatus], job: Job) -> str:
    return system_actions.check(job, view.console.checks, sources)


def _verify(view: View, sources: list[SourceStatus], job: Job) -> str:
    return system_actions.verify(job, view.engine, sources)


def _chosen(view: View) -> list[SourceStatus]:
    wanted = view.form.get("source", "")
    found = [one for one in source_status.sources(view.reader) if wanted in {"", one.id}]
    if not found:
        raise ThirdPartyConfigError("There is no such source. Nothing was checked.", code="unknown-source")
    return found


ROUTES = [Route("/system", page(system)), Route("/system", action(act), methods=["POST"])]
