"""The flow `collect`: read what is new in each API of a source.

Open the source, authenticate, read one stream per API side by side, assess, report. The states of the run are the
states of the source: Started, Initialized, Authenticated, Collecting, then Completed, Failed or Cancelled.
"""

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
from tasks.open_source import OpenedSource, open_source, release_claims
from tasks.run_monitor import assess_and_publish, poll, report_failed_start
from tasks.run_state import conclude, exit_now, exit_while_waiting, save_state, set_state
from tasks.start_forward import start_forwards
from tasks.support import stopping
from tasks.support.futures import gather
from tasks.support.round_log import log_round
from tasks.support.run_report import report_run
from tasks.support.source import current_name

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

    from tasks.support.drain import CollectResult

Outcomes = dict[str, "CollectResult | BaseException"]


@flow(
    name="collect",
    flow_run_name="collect {source}",
    task_runner=ThreadPoolTaskRunner(max_workers=len(Api)),  # type: ignore[arg-type]
    persist_result=False,
)
def collect(source: str, source_id: Line = None) -> State[Any]:
    """Collect what is new from 1Password: sign-in attempts, item usages and audit events, into your database.

    Args:
        source: The name of the source, as in its configuration.
        source_id: The id of the source. With it, a queued run finds the source after a rename. Not needed by hand.
    """
    with stopping.on_signals(exit_while_waiting):
        set_state("Started")
        source = current_name(source, source_id)
        try:
            opened = open_source(source, str(flow_run.id))
            outcomes = _read(source, opened) if opened.claims else {}
        except SourceError as error:
            report_failed_start(source, error)
            failed = verdict.error_verdict(error)
            log_round(source, {}, failed)
            return conclude(failed)
        assess_and_publish(source, opened.source_id)
        return _finish(source, opened, outcomes)


leave_out_none(collect)


def _read(source: str, opened: OpenedSource) -> Outcomes:
    set_state("Initialized", source_id=opened.source_id)
    try:
        access = authenticate(source, opened.source_id, opened.claims)
    except SourceError as error:
        abandon(source, opened.claims, error)
        return {claim.api: error for claim in opened.claims}
    set_state("Authenticated", access.sentence, source_id=opened.source_id)
    set_state("Collecting", source_id=opened.source_id)
    readers: dict[str, PrefectFuture[CollectResult]] = {
        claim.api: collect_stream.with_options(name=f"collect {claim.api}").submit(source, claim)
        for claim in access.claims
    }
    results = gather(readers, lambda: poll(opened))
    return {**access.errors, **results}


def _finish(source: str, opened: OpenedSource, outcomes: Outcomes) -> State[Any]:
    stopped = stopping.requested.is_set()
    found = verdict.collect_verdict(
        source, outcomes, stopped=opened.stopped, elsewhere=opened.elsewhere, stopping=stopped
    )
    if stopped and stopping.waiting_readers():  # a reader that waits for its next attempt cannot be woken
        exit_now(
            found,
            lambda: save_state(opened.source_id, found.name, found.message),
            lambda: release_claims(opened),
            lambda: report_run(source, outcomes, found.message),
            lambda: log_round(source, outcomes, found),
        )
    if stopped:
        set_state("Stopping", found.message, source_id=opened.source_id)
    save_state(opened.source_id, found.name, found.message)
    if outcomes:
        report_run(source, outcomes, found.message)
    log_round(source, outcomes, found)
    if not stopped:
        start_forwards(source, opened.source_id)
    return conclude(found)
