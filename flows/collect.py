"""The flow `collect`: read what is new in each API of a source. Its run's states are the source's states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from blocks.errors import SourceError
from blocks.events_api.models import Api
from flows.form import Line, leave_out_none
from tasks import verdict
from tasks.authenticate import authenticate
from tasks.collect import abandon, collect_stream
from tasks.open_source import Opened, let_go, open_source
from tasks.run_monitor import look_over, report_refusal, watch
from tasks.run_state import conclude, end_asleep, end_now, remember, show
from tasks.start_forward import start_forwards
from tasks.support import stopping
from tasks.support.futures import some_ended
from tasks.support.run_report import report
from tasks.support.source import present_name

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

    from tasks.support.drain import Collected

Outcomes = dict[str, "Collected | BaseException"]


@flow(
    name="collect",
    flow_run_name="collect {source}",
    task_runner=ThreadPoolTaskRunner(max_workers=len(Api)),  # type: ignore[arg-type]
    persist_result=False,
)
def collect(source: str, source_id: Line = None) -> State[Any]:
    """Collect what is new from 1Password: sign-in attempts, item usages and audit events, into your database.

    Args:
        source: the name of the source, as in its configuration.
        source_id: the source's id, by which a queued run finds it after a rename. Left out in a run started by hand.
    """
    with stopping.on_signals(end_asleep):
        show("Started")
        source = present_name(source, source_id)
        try:
            opened = open_source(source, str(flow_run.id))
            outcomes = _read(source, opened) if opened.claims else {}
        except SourceError as error:
            report_refusal(source, error)
            return conclude(verdict.of_error(error))
        look_over(source, opened.source_id)
        return _finish(source, opened, outcomes)


leave_out_none(collect)


def _read(source: str, opened: Opened) -> Outcomes:
    show("Initialized", source_id=opened.source_id)
    try:
        access = authenticate(source, opened.source_id, opened.claims)
    except SourceError as error:
        abandon(source, opened.claims, error)
        return {claim.api: error for claim in opened.claims}
    show("Authenticated", access.sentence, source_id=opened.source_id)
    show("Collecting", source_id=opened.source_id)
    readers = {
        claim.api: collect_stream.with_options(name=f"collect {claim.api}").submit(source, claim)
        for claim in access.claims
    }
    return {**access.refused, **_gather(opened, readers)}


def _gather(opened: Opened, readers: dict[Api, PrefectFuture[Collected]]) -> Outcomes:
    running = list(readers.values())
    while running and not (stopping.requested.is_set() and stopping.asleep() >= len(running)):
        ended = some_ended(running, 0.5)
        running = [reader for reader in running if reader not in ended]
        watch(opened)
    return {api: reader.result(raise_on_failure=False) for api, reader in readers.items() if reader not in running}


def _finish(source: str, opened: Opened, outcomes: Outcomes) -> State[Any]:
    stopped = stopping.requested.is_set()
    found = verdict.of_run(source, outcomes, stopped=opened.stopped, elsewhere=opened.elsewhere, stopping=stopped)
    if stopped and stopping.asleep():
        end_now(
            found,
            lambda: remember(opened.source_id, found.name, found.message),
            lambda: let_go(opened),
            lambda: report(source, outcomes, found.message),
        )
    if stopped:
        show("Stopping", found.message, source_id=opened.source_id)
    remember(opened.source_id, found.name, found.message)
    if outcomes:
        report(source, outcomes, found.message)
    if not stopped:
        start_forwards(source, opened.source_id)
    return conclude(found)
