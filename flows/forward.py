"""The flow `forward`: send what is stored of a source to one SIEM. One that is down delays nothing else."""

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
from tasks.forward import forward_stream
from tasks.open_forward import OpenedForward, open_forward, release_claims
from tasks.run_state import conclude, exit_now, exit_while_waiting, set_state
from tasks.support import stopping
from tasks.support.futures import wait_for_some
from tasks.support.publish import publish
from tasks.support.source import current_name
from tasks.verdict import SKIPPED, Verdict

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

    from tasks.forward import ForwardResult

Outcomes = dict[str, "ForwardResult | BaseException"]


@flow(
    name="forward",
    flow_run_name="forward {source} to {siem}",
    task_runner=ThreadPoolTaskRunner(max_workers=len(Api)),  # type: ignore[arg-type]
    persist_result=False,
)
def forward(source: str, siem: str, source_id: Line = None) -> State[Any]:
    """Forward what is new in your database to a SIEM or an archive, each event once as far as it can be told.

    Args:
        source: the name of the source, as in its configuration.
        siem: the name of the SIEM, as in its configuration.
        source_id: the source's id, by which a queued run finds it after a rename. Left out in a run started by hand.
    """
    with stopping.on_signals(exit_while_waiting):
        set_state("Started")
        source = current_name(source, source_id)
        try:
            opened = open_forward(source, siem, str(flow_run.id))
        except SourceError as error:
            return conclude(verdict.error_verdict(error))
        if opened.reason_to_skip:
            return conclude(Verdict(SKIPPED, opened.reason_to_skip))
        set_state("Forwarding")
        outcomes = _send(source, opened)
        publish(opened.source_id)
        return _finish(source, siem, opened, outcomes)


leave_out_none(forward)


def _send(source: str, opened: OpenedForward) -> Outcomes:
    senders: dict[str, PrefectFuture[ForwardResult]] = {
        claim.api: forward_stream.with_options(name=f"forward {claim.api}").submit(
            source, opened.source_id, opened.kind, claim
        )
        for claim in opened.claims
    }
    running = list(senders.values())
    while running and not (stopping.requested.is_set() and stopping.waiting_readers() >= len(running)):
        ended = wait_for_some(running, 0.5)
        running = [sender for sender in running if sender not in ended]
        publish(opened.source_id)
    return {api: sender.result(raise_on_failure=False) for api, sender in senders.items() if sender not in running}


def _finish(source: str, siem: str, opened: OpenedForward, outcomes: Outcomes) -> State[Any]:
    stopped = stopping.requested.is_set()
    found = verdict.forward_verdict(
        siem, outcomes, stopped=opened.stopped, elsewhere=opened.elsewhere, stopping=stopped
    )
    if stopped and stopping.waiting_readers():
        exit_now(found, lambda: release_claims(source, opened))
    return conclude(found)
