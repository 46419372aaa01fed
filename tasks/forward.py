"""Forward one stream to one SIEM: one attempt sends what is unsent. Failed attempts are retried: `tasks.attempts`."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks import clock
from blocks.errors import SourceError, ThirdPartyGenericError, UnexpectedError
from blocks.events_api.models import Api
from blocks.siem.delivery.deliver import DeliveryResult, Rejection, deliver, deliver_hour
from blocks.siem.delivery.ordered_pool import OrderedPool
from blocks.siem.delivery.protocol import NoConfirmationError, RequestRejectedError
from blocks.store.engine import use_small_cache
from blocks.store.forwarding import forward_pairs, positions, replay, unsent_events
from blocks.store.forwarding.positions import BatchOutcome
from blocks.store.forwarding.records import PositionClaim, ReplayBatch
from blocks.store.forwarding.rejected_events import RejectedEvent
from blocks.store.forwarding.unsent_events import EventBatch, UnsentEvents, UnsentHour
from tasks import attempts
from tasks.support import stopping
from tasks.support.siem import load_siem, make_preparer, source_store
from tasks.support.source import store_if_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from blocks.siem.delivery.prepare import Preparer
    from blocks.siem.formats.event import OutgoingEvent
    from blocks.store.forwarding.positions import AcknowledgedAhead, PositionView

UNCONFIRMED_MAX = 6
"""Attempts without confirmation since the last progress, after which it is the configuration: about six minutes."""
_DUPLICATING_CODES = frozenset({"unconfirmed", "ack", "invalid-body", "timeout", "reset"})
"""Codes of errors after which the target may have stored the events: a further attempt may duplicate them."""


def _escalate(error: SourceError, record: attempts.AttemptRecord) -> SourceError | None:
    if not isinstance(error, NoConfirmationError) or not isinstance(record, PositionRecord):
        return None
    tries = positions.count_unconfirmed(record.engine, record.claim)
    return error.as_configuration(tries) if tries >= UNCONFIRMED_MAX else None


REPEAT_POLICY = attempts.RepeatPolicy(_DUPLICATING_CODES, _escalate)
RESEND_MAX = 1000  # rejected events that are replayed in one batch
IN_FLIGHT = 4_000_000
"""Bytes of one stream in flight at once, before compression; more only if a single request is larger."""
BODY_CHARACTERS_MAX = 1_000_000  # characters of bodies in a batch; a single body may be larger
GROWTH_MARGIN = 0.02
"""How much smaller a batch is than a full request by the estimate. Otherwise it would be a full request and a rest."""


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """The counts of a forwarded stream: events sent, filtered by rules, rejected by the target; and the seconds."""

    api: Api
    sent: int
    filtered: int
    rejected: int
    seconds: float


@task(name="forward", **attempts.TASK_OPTIONS)
def forward_stream(source: str, source_id: str, kind: str, claim: PositionClaim) -> ForwardResult:
    """Send all events behind the position of `claim`. The position moves when the SIEM has acknowledged them.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own. An error
    leaves here judged: it is recorded in the store, and its `retry_in` is set if the task is retried.
    """
    opened_in = store_if_open(source_id)
    record = None if opened_in is None else PositionRecord(opened_in, claim, None)
    with attempts.attempt(attempt_key(claim), record, repeats=REPEAT_POLICY) as attempt:
        engine = source_store(source)
        attempt.open(PositionRecord(engine, claim, None))
        block = load_siem(claim.siem, kind)
        attempt.open(PositionRecord(engine, claim, block.fingerprint()))
        is_enabled = ForwardingCheck(engine, source_id, claim.pair_id, is_archive=block.is_archive)
        with closing(block.get_sender()) as sender:
            preparer = make_preparer(engine, source_id, claim.api, block, sender)
            done = StreamForwarder(engine, claim, preparer, is_enabled).forward()
    get_run_logger().info(
        "%s: %d sent to %s, %d filtered by rules, %d rejected by it; %.1f s",
        *(done.api, done.sent, claim.siem, done.filtered, done.rejected, done.seconds),
    )
    return done


class ForwardingCheck:
    """True if forwarding is enabled: the pair is not paused, and the source's field `_siemForward` is true.

    An archive takes the events of every source. It is checked before each batch, but the store is read at most once a
    second. A person may pause the pair or change the field during a long run. Once it was false, it stays false: the
    run ends, and the next one starts with the present configuration.
    """

    def __init__(self, engine: Engine, source_id: str, forward: str, *, is_archive: bool) -> None:
        self._engine = engine
        self._source_id = source_id
        self._forward = forward
        self._is_archive = is_archive
        self._enabled, self._until = True, 0.0

    def __call__(self) -> bool:
        if self._enabled and time.monotonic() >= self._until:
            self._enabled = self._is_enabled()
            self._until = time.monotonic() + 1.0
        return self._enabled

    def _is_enabled(self) -> bool:
        if forward_pairs.is_paused(self._engine, self._forward):
            return False
        return self._is_archive or forward_pairs.source_metadata(self._engine, self._source_id).for_siem


class StreamForwarder:
    """Sends the events behind a position, several batches at once, until none is left or the run is to end.

    Batches may be acknowledged in any order, but the position only moves over a complete prefix. What was acknowledged
    behind a failed batch is kept as acknowledged ahead, so that the next attempt does not send it again. After the new
    events, rejected events are sent again if a person has requested a replay.
    """

    def __init__(
        self, engine: Engine, claim: PositionClaim, preparer: Preparer, is_enabled: Callable[[], bool] = lambda: True
    ) -> None:
        self._engine = engine
        self._is_enabled = is_enabled
        self._claim = claim
        self._preparer = preparer
        self._name = f"{claim.pair_id}-{claim.stream_id}"
        self._planned: tuple[int, ...] = ()
        self._plan: list[int] = []
        self._ahead: AcknowledgedAhead = {}
        self._sent = self._filtered = self._rejected = 0
        self._growth = 1.0  # octets that are sent for a character of a body

    def forward(self) -> ForwardResult:
        """Send everything. Raises what the sender or the store raises; what was acknowledged before stays recorded."""
        started = time.monotonic()
        use_small_cache(self._engine)
        self._send_new()
        self._resend()
        # A stopped run leaves its plan and its error to the next one.
        end = positions.release if self._is_over() else positions.finish
        end(self._engine, self._claim)
        return ForwardResult(self._claim.api, self._sent, self._filtered, self._rejected, time.monotonic() - started)

    def _resend(self) -> None:
        events = min(self._preparer.sender.limits.events, RESEND_MAX)
        pool = OrderedPool(self._redeliver, self._note_resent, 1, self._renew)
        pool.process(replay.marked_batches(self._engine, self._claim, events), until=self._is_over)

    def _send_new(self) -> None:
        view = positions.get(self._engine, self._claim)
        limits = self._preparer.sender.limits
        if not limits.hourly:
            self._planned, self._ahead = view.in_flight, dict(view.ahead)
        self._name = f"{self._claim.pair_id}-{self._claim.stream_id}-{view.replays}"
        self._pool = OrderedPool(self._deliver, self._advance, limits.parallel, self._renew, self._keep_acknowledged)
        careful = view.failing_since_ns is not None
        self._pool.process(self._batches(view), until=self._is_over, first_alone=careful)

    def _is_over(self) -> bool:
        return stopping.requested.is_set() or not self._is_enabled()

    def _batches(self, view: PositionView) -> Iterator[EventBatch | UnsentHour]:
        events = UnsentEvents(self._engine, self._claim.stream_id, view.acknowledged_id)
        limits = self._preparer.sender.limits
        if limits.hourly:
            return unsent_events.hours(events, limits.events)
        return unsent_events.batches(events, limits.events, view.in_flight, self._octets)

    def _octets(self) -> int:
        """The characters of bodies that fill whole requests, estimated from the batches before."""
        limits = self._preparer.sender.limits
        requests = max(IN_FLIGHT // (limits.parallel * limits.bytes), 1)
        return min(int(requests * limits.bytes / self._growth), BODY_CHARACTERS_MAX)

    def _deliver(self, batch: EventBatch | UnsentHour) -> BatchOutcome | None:
        """The outcome of a batch; None if an earlier run has sent it and it was acknowledged ahead."""
        if isinstance(batch, UnsentHour):
            done = deliver_hour(batch, self._preparer)
            return _outcome(batch.first_id, batch.last_id, done)
        events = batch.take()
        if batch.last_id in self._ahead:
            return None
        done = deliver(self._name, events, self._preparer, self._pause)
        self._note_growth(events, done)
        return _outcome(batch.first_id, batch.last_id, done)

    def _note_growth(self, events: Sequence[OutgoingEvent], done: DeliveryResult) -> None:
        bodies = sum([len(event.body) for event in events])
        self._growth = max(done.octets / max(bodies, 1) * (1 + GROWTH_MARGIN), 1.0)

    def _pause(self, seconds: float) -> None:
        if self._pool.failed.wait(clock.engine_delay(seconds)):
            raise ThirdPartyGenericError("An earlier batch was not acknowledged.", code="behind")

    def _redeliver(self, batch: ReplayBatch) -> BatchOutcome:
        # A new name: a SIEM that deduplicates by name has rejected these events under the old one.
        name = f"{self._name}-again-{batch.mark_ns}"
        try:
            done = deliver(name, batch.events, self._preparer, lambda wait: time.sleep(clock.engine_delay(wait)))
        except RequestRejectedError as error:  # other events were accepted before: it is not the configuration
            done = DeliveryResult(rejected=[Rejection(event, error.code, str(error)) for event in batch.events])
        return _outcome(batch.events[0].id, batch.events[-1].id, done)

    def _advance(
        self,
        done: tuple[EventBatch | UnsentHour, BatchOutcome | None] | None,
        under_way: Sequence[EventBatch | UnsentHour],
    ) -> None:
        step = None if done is None else self._completed_step(*done)
        begun = [batch.last_id for batch in under_way if isinstance(batch, EventBatch)]
        reached = max([*begun, 0 if step is None else step.last_id])
        # A planned batch stays in the plan until it is acknowledged, also while it is not in flight again yet: the next
        # run must cut the same batches, so that a target which deduplicates by name recognizes them.
        plan = [*begun, *(end for end in self._planned if end > reached)]
        positions.advance(self._engine, self._claim, step, plan, self._ahead)
        self._plan = plan  # only now: what is acknowledged ahead must fit the position in the store

    def _completed_step(self, batch: EventBatch | UnsentHour, step: BatchOutcome | None) -> BatchOutcome:
        if step is None:
            sent, dropped = self._ahead[batch.last_id]
            step = BatchOutcome(batch.first_id, batch.last_id, sent, dropped, was_ahead=True)
        return self._counted(step)

    def _keep_acknowledged(self, done: Sequence[tuple[EventBatch | UnsentHour, BatchOutcome | None]]) -> None:
        """Record the batches that were acknowledged after the first failed one. If that fails, they are sent twice."""
        if self._preparer.sender.limits.hourly:  # an object that is written again replaces itself
            return
        fresh = [step for _, step in done if step is not None]
        self._ahead |= {step.last_id: (step.sent, step.filtered) for step in fresh}
        with suppress(SourceError):
            positions.record_acknowledged_ahead(self._engine, self._claim, fresh, self._plan, self._ahead)

    def _note_resent(self, done: tuple[ReplayBatch, BatchOutcome] | None, _under_way: Sequence[ReplayBatch]) -> None:
        if done is None:
            self._renew()
        else:
            positions.record_replayed(self._engine, self._claim, done[0], self._counted(done[1]))

    def _counted(self, step: BatchOutcome) -> BatchOutcome:
        self._sent += step.sent
        self._filtered += step.filtered
        self._rejected += len(step.rejected)
        return step

    def _renew(self) -> None:
        positions.renew(self._engine, self._claim)


def _outcome(first_id: int, last_id: int, delivered: DeliveryResult) -> BatchOutcome:
    rejected = (RejectedEvent(one.event.id, one.event.uuid, one.code, one.answer) for one in delivered.rejected)
    return BatchOutcome(first_id, last_id, delivered.sent, delivered.filtered, tuple(rejected))


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """The record of attempts to forward a stream, in its position. So the 90 minutes go on in another process, too."""

    engine: Engine
    claim: PositionClaim
    fingerprint: str | None

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        unconfirmed = isinstance(error, NoConfirmationError)
        return positions.record_failure(self.engine, self.claim, error, since_ns=since_ns, unconfirmed=unconfirmed)

    def wait(self, error: SourceError, seconds: float) -> None:  # noqa: ARG002 - of the protocol
        positions.renew(self.engine, self.claim, for_seconds=seconds)

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        # An unexpected error stops this run only. Without a fingerprint the next run tries again.
        fingerprint = None if isinstance(error, UnexpectedError) else self.fingerprint
        positions.stop(self.engine, self.claim, error, fingerprint, noted=noted)


def attempt_key(claim: PositionClaim) -> str:
    return f"{claim.pair_id}/{claim.stream_id}/{claim.fence}"
