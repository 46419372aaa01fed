"""The flow `forward`: send the stored events of a source to one SIEM. A SIEM that is down delays nothing else.

Open the pair of source and SIEM, forward one stream per API side by side, publish its health.
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
from tasks.forward import forward_stream
from tasks.open_forward import OpenedForward, open_forward, release_claims
from tasks.run_state import conclude, exit_now, exit_while_waiting, set_state
from tasks.support import stopping
from tasks.support.futures import gather
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
    """Forward what is new in your database to a SIEM or an archive. After a failure, an event may arrive twice.

    Args:
        source: The name of the source, as in its configuration.
        siem: The name of the SIEM, as in its configuration.
        source_id: The id of the source. With it, a queued run finds the source after a rename. Not needed by hand.
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
    return gather(senders, lambda: publish(opened.source_id))


def _finish(source: str, siem: str, opened: OpenedForward, outcomes: Outcomes) -> State[Any]:
    stopped = stopping.requested.is_set()
    found = verdict.forward_verdict(
        siem, outcomes, stopped=opened.stopped, elsewhere=opened.elsewhere, stopping=stopped
    )
    if stopped and stopping.waiting_readers():  # a sender that waits for its next attempt cannot be woken
        exit_now(found, lambda: release_claims(source, opened))
    return conclude(found)
