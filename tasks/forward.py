"""Forward one stream to one SIEM: try, judge what went wrong, and try again for up to 90 minutes since the last yes."""

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
from blocks.store.forwarding import forward_pairs, positions, rejected_events, unsent_events
from blocks.store.forwarding.positions import BatchOutcome, PositionClaim
from blocks.store.forwarding.rejected_events import RejectedEvent, ReplayBatch
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
"""After so many tries since the last progress that a target does not confirm, it is the configuration: six minutes."""
_DUPLICATING_CODES = frozenset({"unconfirmed", "ack", "invalid-body", "timeout", "reset"})
"""Codes of errors after which the target may have the events all the same."""


def _escalate(error: SourceError, record: attempts.AttemptRecord) -> SourceError | None:
    if not isinstance(error, NoConfirmationError) or not isinstance(record, PositionRecord):
        return None
    tries = positions.count_unconfirmed(record.engine, record.claim)
    return error.as_configuration(tries) if tries >= UNCONFIRMED_MAX else None


REPEAT_POLICY = attempts.RepeatPolicy(_DUPLICATING_CODES, _escalate)
RESEND_MAX = 1000  # events that were refused and are sent again at once
IN_FLIGHT = 4_000_000
"""Bytes of one stream that are on their way at once, before compression, where a request is not larger than that."""
BODY_CHARACTERS_MAX = 1_000_000  # characters of bodies in a portion at most, or one body
GROWTH_MARGIN = 0.02
"""By how much a portion is smaller than what would come to a full request: else it would be a full one and a rest."""


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """What became of a stream's events: sent, kept back by rules, refused for good."""

    api: Api
    sent: int
    filtered: int
    rejected: int
    seconds: float


@task(name="forward", **attempts.TASK_OPTIONS)
def forward_stream(source: str, source_id: str, kind: str, claim: PositionClaim) -> ForwardResult:
    """Send all that is behind the position of `claim`; the position moves when the SIEM has said yes.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own.
    An error leaves here judged: remembered in the store, with `retry_in` set where the step is to be tried again.
    """
    taken_in = store_if_open(source_id)
    record = None if taken_in is None else PositionRecord(taken_in, claim, None)
    with attempts.attempt(attempt_key(claim), record, repeats=REPEAT_POLICY) as attempt:
        engine = source_store(source)
        attempt.open(PositionRecord(engine, claim, None))
        block = load_siem(claim.siem, kind)
        attempt.open(PositionRecord(engine, claim, block.fingerprint()))
        meant = ForwardingCheck(engine, source_id, claim.pair_id, is_archive=block.is_archive)
        with closing(block.get_sender()) as sender:
            preparer = make_preparer(engine, source_id, claim.api, block, sender)
            done = StreamForwarder(engine, claim, preparer, meant).forward()
    get_run_logger().info(
        "%s: %d sent to %s, %d filtered by rules, %d refused by it; %.1f s",
        *(done.api, done.sent, claim.siem, done.filtered, done.rejected, done.seconds),
    )
    return done


class ForwardingCheck:
    """Whether the events of a source are meant for this SIEM, which is not paused. Asked before each portion.

    An archive takes the events of every source. The store is looked at once a second: a person may pause the SIEM, or
    switch `_siemForward` off, in the middle of a long run. Such a run has ended then, whatever is changed back.
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
    """Sends what is behind a position, several portions at once, until there is no more or the run is to end.

    After that goes what the SIEM had refused and a person wants sent again.
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
        """Raises what the sender or the store raises; what the SIEM has said yes to before stays so."""
        started = time.monotonic()
        use_small_cache(self._engine)
        self._send_new()
        self._resend()
        # A run that was stopped leaves its plan and its error to the next one.
        end = positions.release if self._is_over() else positions.finish
        end(self._engine, self._claim)
        return ForwardResult(self._claim.api, self._sent, self._filtered, self._rejected, time.monotonic() - started)

    def _resend(self) -> None:
        events = min(self._preparer.sender.limits.events, RESEND_MAX)
        pump = OrderedPool(self._redeliver, self._note_resent, 1, self._renew)
        pump.process(rejected_events.replay_batches(self._engine, self._claim, events), until=self._is_over)

    def _send_new(self) -> None:
        view = positions.get(self._engine, self._claim)
        limits = self._preparer.sender.limits
        if not limits.hourly:
            self._planned, self._ahead = view.in_flight, dict(view.ahead)
        self._name = f"{self._claim.pair_id}-{self._claim.stream_id}-{view.replays}"
        self._pump = OrderedPool(self._deliver, self._advance, limits.parallel, self._renew, self._keep_acknowledged)
        careful = view.failing_since_ns is not None
        self._pump.process(self._batches(view), until=self._is_over, first_alone=careful)

    def _is_over(self) -> bool:
        return stopping.requested.is_set() or not self._is_enabled()

    def _batches(self, view: PositionView) -> Iterator[EventBatch | UnsentHour]:
        events = UnsentEvents(self._engine, self._claim.stream_id, view.acknowledged_id)
        limits = self._preparer.sender.limits
        if limits.hourly:
            return unsent_events.hours(events, limits.events)
        return unsent_events.batches(events, limits.events, view.in_flight, self._octets)

    def _octets(self) -> int:
        """Characters of bodies that come to full requests, as far as the portions before show."""
        limits = self._preparer.sender.limits
        requests = max(IN_FLIGHT // (limits.parallel * limits.bytes), 1)
        return min(int(requests * limits.bytes / self._growth), BODY_CHARACTERS_MAX)

    def _deliver(self, portion: EventBatch | UnsentHour) -> BatchOutcome | None:
        """What became of it; None where an earlier run has sent it."""
        if isinstance(portion, UnsentHour):
            done = deliver_hour(portion, self._preparer)
            return _step(portion.first_id, portion.last_id, done)
        events = portion.take()
        if portion.last_id in self._ahead:
            return None
        done = deliver(self._name, events, self._preparer, self._pause)
        self._note_growth(events, done)
        return _step(portion.first_id, portion.last_id, done)

    def _note_growth(self, events: Sequence[OutgoingEvent], done: DeliveryResult) -> None:
        bodies = sum([len(event.body) for event in events])
        self._growth = max(done.octets / max(bodies, 1) * (1 + GROWTH_MARGIN), 1.0)

    def _pause(self, seconds: float) -> None:
        if self._pump.failed.wait(clock.engine_delay(seconds)):
            raise ThirdPartyGenericError("What is before these events was not taken.", code="behind")

    def _redeliver(self, portion: ReplayBatch) -> BatchOutcome:
        # By a name of its own: a SIEM that remembers names has refused these events by another one.
        name = f"{self._name}-again-{portion.mark_ns}"
        try:
            done = deliver(name, portion.events, self._preparer, lambda wait: time.sleep(clock.engine_delay(wait)))
        except RequestRejectedError as error:  # it has taken others before these: it is not the configuration
            done = DeliveryResult(rejected=[Rejection(event, error.code, str(error)) for event in portion.events])
        return _step(portion.events[0].id, portion.events[-1].id, done)

    def _advance(
        self,
        done: tuple[EventBatch | UnsentHour, BatchOutcome | None] | None,
        under_way: Sequence[EventBatch | UnsentHour],
    ) -> None:
        step = None if done is None else self._completed_step(*done)
        begun = [portion.last_id for portion in under_way if isinstance(portion, EventBatch)]
        reached = max([*begun, 0 if step is None else step.last_id])
        # What was planned stays so until it is done, whether or not it is on its way again by now.
        plan = [*begun, *(end for end in self._planned if end > reached)]
        positions.advance(self._engine, self._claim, step, plan, self._ahead)
        self._plan = plan  # not before: what is left ahead must fit the position that stands in the store

    def _completed_step(self, portion: EventBatch | UnsentHour, step: BatchOutcome | None) -> BatchOutcome:
        if step is None:
            sent, dropped = self._ahead[portion.last_id]
            step = BatchOutcome(portion.first_id, portion.last_id, sent, dropped, was_ahead=True)
        return self._counted(step)

    def _keep_acknowledged(self, done: Sequence[tuple[EventBatch | UnsentHour, BatchOutcome | None]]) -> None:
        """Remember what the SIEM took behind a portion that failed. Where that cannot be, it is sent twice."""
        if self._preparer.sender.limits.hourly:  # an object that is written again is the same object
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


def _step(first_id: int, last_id: int, delivered: DeliveryResult) -> BatchOutcome:
    turned = (RejectedEvent(one.event.id, one.event.uuid, one.code, one.answer) for one in delivered.rejected)
    return BatchOutcome(first_id, last_id, delivered.sent, delivered.filtered, tuple(turned))


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """Where the attempts to forward a stream are recorded: in its position."""

    engine: Engine
    claim: PositionClaim
    fingerprint: str | None

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        unconfirmed = isinstance(error, NoConfirmationError)
        return positions.record_failure(self.engine, self.claim, error, since_ns=since_ns, unconfirmed=unconfirmed)

    def wait(self, error: SourceError, seconds: float) -> None:  # noqa: ARG002 - as the protocol has it
        positions.renew(self.engine, self.claim, for_seconds=seconds)

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        again = isinstance(error, UnexpectedError)
        positions.stop(self.engine, self.claim, error, None if again else self.fingerprint, noted=noted)


def attempt_key(claim: PositionClaim) -> str:
    return f"{claim.pair_id}/{claim.stream_id}/{claim.fence}"
