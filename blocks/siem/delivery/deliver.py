"""Deliver a portion of events: grouped, cut to the SIEM's size, sent, and sent again where the SIEM took a part."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, cast

from blocks.cpu_lock import cpu_lock
from blocks.errors import ThirdPartyGenericError
from blocks.siem.delivery.prepare import FilteredEvent
from blocks.siem.delivery.protocol import Batch, RejectedRecord, RequestRejectedError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from blocks.siem.delivery.prepare import Preparer
    from blocks.siem.delivery.protocol import BatchResult, EncodedRecord, ObjectSender
    from blocks.siem.formats.event import OutgoingEvent

TRIES = 6
"""How often the same request is made for records that the SIEM puts off, within one attempt."""
PAUSE_SECONDS, PAUSE_MAX = 0.5, 15.0
_PAUSES = tuple(PAUSE_SECONDS * 2**attempt for attempt in range(TRIES - 1))
SUSPECTS = 3
"""Where the SIEM can use none of so many events that go alone, before it takes any, it is no event's problem."""
ANSWER_MAX = 500  # characters that are kept of what a SIEM says of an event


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that was refused for good, and what the SIEM said of it."""

    event: OutgoingEvent
    code: str
    answer: str


@dataclass
class DeliveryResult:
    """What became of a portion: each of its events is in one of the three."""

    sent: int = 0
    filtered: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    octets: int = field(default=0, compare=False)
    """Of its records, before compression."""


class HourlyEvents(Protocol):
    """Events that were received in one hour, see `blocks.store.forwarding.unsent_events`."""

    count: int

    def events(self) -> Iterator[Sequence[OutgoingEvent]]:
        """A few at a time, read while they are used."""
        ...

    def halve(self) -> None:
        """Begin again, with half as many as were taken, or one."""
        ...


def deliver(
    name: str, events: Sequence[OutgoingEvent], preparer: Preparer, sleep: Callable[[float], object] = time.sleep
) -> DeliveryResult:
    """Send all of a portion, or raise what the sender raises; then it is all sent again.

    `name` says whose it is: with the ids of a request's events it makes the request's own name.
    """
    with cpu_lock:
        made = [preparer.prepare(event) for event in events]
    records = [one for one in made if not isinstance(one, FilteredEvent)]
    octets = sum([len(record.data) for record in records])
    under_way = _Delivery(name, preparer, sleep, DeliveryResult(filtered=len(made) - len(records), octets=octets))
    limits = preparer.sender.limits
    for chosen in split_batches(records, limits.events, limits.bytes):
        under_way.send(chosen)
    under_way.judge()
    return under_way.done


def deliver_hour(hour: HourlyEvents, preparer: Preparer) -> DeliveryResult:
    """Write events of one hour as one object: as many as there are, or as fit into it, or as the archive takes.

    Raises what the sender and the store raise; then the object is to be written again.
    """
    sender = cast("ObjectSender", preparer.sender)
    while True:
        done = DeliveryResult()
        try:
            sender.send_object(preparer.stream, _records(hour, preparer, done))
        except TooLargeError as error:
            is_one = hour.count == 1
            hour.halve()
            if is_one:
                (alone,) = next(hour.events())
                return DeliveryResult(rejected=[Rejection(alone, error.code, str(error)[:ANSWER_MAX])])
        else:
            return done


def _records(hour: HourlyEvents, preparer: Preparer, done: DeliveryResult) -> Iterator[Sequence[EncodedRecord]]:
    for events in hour.events():
        with cpu_lock:
            made = [preparer.prepare(event) for event in events]
        records = [one for one in made if not isinstance(one, FilteredEvent)]
        done.sent += len(records)
        done.filtered += len(made) - len(records)
        done.octets += sum([len(record.data) for record in records])
        if records:
            yield records
        if done.octets >= preparer.sender.limits.bytes:
            return


def split_batches(records: Sequence[EncodedRecord], events: int, size: int) -> Iterator[Sequence[EncodedRecord]]:
    """By group, in the order in which the groups come first; then by count and by bytes. Never an empty one."""
    groups: dict[tuple[str, ...], list[EncodedRecord]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    for group in groups.values():
        yield from _sized(group, events, size)


def _sized(group: Sequence[EncodedRecord], events: int, size: int) -> Iterator[Sequence[EncodedRecord]]:
    if len(group) <= events and sum([len(record.data) for record in group]) <= size:
        yield group
        return
    start, total = 0, 0
    for at, record in enumerate(group):
        if at > start and (total + len(record.data) > size or at - start >= events):
            yield group[start:at]
            start, total = at, 0
        total += len(record.data)
    if start < len(group):
        yield group[start:]


@dataclass(frozen=True, slots=True)
class _Delivery:
    name: str
    preparer: Preparer
    sleep: Callable[[float], object]
    done: DeliveryResult
    suspects: list[tuple[EncodedRecord, RequestRejectedError]] = field(default_factory=list)

    def send(self, records: Sequence[EncodedRecord]) -> None:
        """Until each record is accepted or refused."""
        left = records
        for pause in [*_PAUSES, None]:
            try:
                answer = self.preparer.sender.send(self._batch(left))
            except TooLargeError as error:
                self._halve(left, error)
                return
            except RequestRejectedError as error:
                self._sift(left, error)
                return
            self._note(left, answer)
            if not answer.deferred:
                return
            left = [left[index] for index in answer.deferred]
            if pause is not None:
                self.sleep(min(answer.retry_after or pause, PAUSE_MAX))
        raise _put_off(len(left))

    def _halve(self, records: Sequence[EncodedRecord], error: TooLargeError) -> None:
        if len(records) == 1:
            self.done.rejected.append(_turned(records[0], RejectedRecord(0, error.code, str(error))))
            return
        middle = len(records) // 2
        self.send(records[:middle])
        self.send(records[middle:])

    def judge(self) -> None:
        """Refuse for good what the SIEM could not use, where it took others; raises what it said where it took none."""
        if self.suspects and not self.done.sent:
            raise self.suspects[0][1]
        self.done.rejected += [
            _turned(record, RejectedRecord(0, error.code, str(error))) for record, error in self.suspects
        ]

    def _sift(self, records: Sequence[EncodedRecord], error: RequestRejectedError) -> None:
        if len(records) > 1:
            middle = len(records) // 2
            self.send(records[:middle])
            self.send(records[middle:])
            return
        self.suspects.append((records[0], error))
        if len(self.suspects) >= SUSPECTS and not self.done.sent:
            raise error

    def _note(self, records: Sequence[EncodedRecord], answer: BatchResult) -> None:
        self.done.rejected += [_turned(records[one.index], one) for one in answer.rejected]
        self.done.sent += len(records) - len(answer.rejected) - len(answer.deferred)

    def _batch(self, records: Sequence[EncodedRecord]) -> Batch:
        # All of the ids are in the name: what is left of a request may begin and end as the whole did, and a SIEM
        # that remembers names would not take it.
        ids = array("q", [record.event.id for record in records])
        digest = blake2b(ids.tobytes(), digest_size=6).hexdigest()
        return Batch(f"{self.name}-{ids[0]}-{ids[-1]}-{digest}", self.preparer.stream, records)


def _put_off(number: int) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The SIEM took only a part: it put {number:,} events off {TRIES} times.",
        hint="They are sent again. Look at its load and its queues if that goes on.",
        code="put-off",
    )


def _turned(record: EncodedRecord, refused: RejectedRecord) -> Rejection:
    return Rejection(record.event, refused.code, refused.answer[:ANSWER_MAX])
