"""Forward one stream to one SIEM: try, judge what went wrong, and try again for up to 90 minutes since the last yes."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks import clock
from blocks.errors import ClaimLostError, SourceError
from blocks.events_api.models import Api
from blocks.siem.deliver import Delivered, deliver
from blocks.siem.pump import Pump
from blocks.store import outgoing, positions
from blocks.store.outgoing import Events, Portion
from blocks.store.positions import ForwardClaim, RefusedItem, Step
from tasks import retries, stopping
from tasks.siem import load_siem, preparer_of, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from blocks.siem.prepare import Preparer


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What became of a stream's events: sent, kept back by rules, refused for good."""

    api: Api
    sent: int
    kept: int
    refused: int
    seconds: float


@task(name="forward", **retries.OPTIONS)
def forward_stream(source: str, source_id: str, kind: str, claim: ForwardClaim) -> Forwarded:
    """Send all that is behind the position of `claim`; the position moves when the SIEM has said yes.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own.
    An error leaves here judged: remembered in the store, with `retry_in` set where the step is to be tried again.
    """
    stopping.woke_up(_key(claim))
    engine, fingerprint = None, ""
    try:
        engine = store_of(source)
        block = load_siem(claim.siem, kind)
        fingerprint = block.fingerprint()
        with closing(block.get_sender()) as sender:
            preparer = preparer_of(engine, source_id, claim.api, block, sender)
            done = Forwarding(engine, claim, preparer).run()
    except SourceError as error:
        raise _judged(engine, claim, error, fingerprint) from None
    retries.forget(_key(claim))
    get_run_logger().info(
        "%s: %d sent to %s, %d kept back by its rules, %d refused by it; %.1f s",
        *(done.api, done.sent, claim.siem, done.kept, done.refused, done.seconds),
    )
    return done


class Forwarding:
    """Sends what is behind a position, several portions at once, until there is no more or the run is to end."""

    def __init__(self, engine: Engine, claim: ForwardClaim, preparer: Preparer) -> None:
        self._engine = engine
        self._claim = claim
        self._preparer = preparer
        self._sent = self._kept = self._refused = 0

    def run(self) -> Forwarded:
        """Raises what the sender or the store raises; what the SIEM has said yes to before stays so."""
        started = time.monotonic()
        pump = Pump(self._deliver, self._announce, self._preparer.sender.limits.parallel, self._renew)
        pump.run(self._portions(), until=stopping.requested.is_set)
        positions.finish(self._engine, self._claim)
        return Forwarded(self._claim.api, self._sent, self._kept, self._refused, time.monotonic() - started)

    def _portions(self) -> Iterator[Portion]:
        view = positions.one(self._engine, self._claim)
        events = Events(self._engine, self._claim.stream_id, view.sent_id)
        limits = self._preparer.sender.limits
        if limits.hourly:
            return outgoing.hours(events, limits.events)
        return outgoing.portions(events, limits.events, view.plan)

    def _deliver(self, portion: Portion) -> Delivered:
        name = f"{self._claim.forward}-{self._claim.stream_id}"
        return deliver(name, portion.events, self._preparer, lambda seconds: time.sleep(clock.engine_delay(seconds)))

    def _announce(self, done: tuple[Portion, Delivered] | None, under_way: Sequence[Portion]) -> None:
        step = None if done is None else self._step(*done)
        positions.advance(self._engine, self._claim, step, [portion.last_id for portion in under_way])

    def _step(self, portion: Portion, delivered: Delivered) -> Step:
        self._sent += delivered.sent
        self._kept += delivered.kept
        self._refused += len(delivered.turned)
        refused = (RefusedItem(one.event.id, one.event.uuid, one.code, one.answer) for one in delivered.turned)
        return Step(portion.last_id, delivered.sent, delivered.kept, tuple(refused))

    def _renew(self) -> None:
        positions.renew(self._engine, self._claim)


def _judged(engine: Engine | None, claim: ForwardClaim, error: SourceError, fingerprint: str) -> SourceError:
    """The error with `retry_in` set, after the store has been told; the store may fail at that too."""
    try:
        if engine is None:
            raise error
        error.retry_in = _remember(engine, claim, error, fingerprint)
    except ClaimLostError as lost:
        return lost
    except SourceError as unwritten:
        unwritten.retry_in = retries.window_in_memory(_key(claim), unwritten)
        error = unwritten
    if error.retry_in is not None:
        stopping.fell_asleep(_key(claim))
    return error


def _remember(engine: Engine, claim: ForwardClaim, error: SourceError, fingerprint: str) -> float | None:
    if isinstance(error, retries.FINAL):
        if not isinstance(error, ClaimLostError):
            positions.stop(engine, claim, error, fingerprint)
        return None
    since_ns = positions.note_failure(engine, claim, error, since_ns=retries.since_in_memory(_key(claim)))
    wait = retries.next_wait(since_ns, getattr(error, "retry_after", None))
    if wait is None:
        positions.stop(engine, claim, error, fingerprint)
        return None
    positions.renew(engine, claim, for_seconds=wait)
    return wait


def _key(claim: ForwardClaim) -> str:
    return f"{claim.forward}/{claim.stream_id}/{claim.fence}"
