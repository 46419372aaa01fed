"""Deliver events: split into batches of the SIEM's size, sent, and sent again if the SIEM accepts only a part."""

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
"""Requests for the same records while the SIEM defers them, within one attempt of the task."""
PAUSE_SECONDS, PAUSE_MAX = 0.5, 15.0
_PAUSES = tuple(PAUSE_SECONDS * 2**attempt for attempt in range(TRIES - 1))
SUSPECTS = 3
"""If the SIEM rejects so many single events and has accepted none, the cause is the configuration, not an event."""
ANSWER_MAX = 500  # characters kept of a SIEM's answer for one event


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that the SIEM rejected for good, and the SIEM's answer."""

    event: OutgoingEvent
    code: str
    answer: str


@dataclass
class DeliveryResult:
    """Each event of a delivery is sent, filtered or rejected. `octets` are the uncompressed bytes of the records."""

    sent: int = 0
    filtered: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    octets: int = field(default=0, compare=False)


class HourlyEvents(Protocol):
    """The events that were received in one hour, see `blocks.store.forwarding.unsent_events`."""

    count: int

    def events(self) -> Iterator[Sequence[OutgoingEvent]]:
        """Read some at a time, while they are used."""
        ...

    def halve(self) -> None:
        """Begin again from the first event, with half as many as were read, but at least one."""
        ...


def deliver(
    name: str, events: Sequence[OutgoingEvent], preparer: Preparer, sleep: Callable[[float], object] = time.sleep
) -> DeliveryResult:
    """Send all events, or raise what the sender raises; then all of them are sent again.

    `name` identifies the pair. With the ids of a request's events it makes the name of the request's batch.
    """
    records, result = _prepare(events, preparer)
    delivery = _Delivery(name, preparer, sleep, result)
    limits = preparer.sender.limits
    for batch in split_batches(records, limits.events, limits.bytes):
        delivery.send(batch)
    delivery.settle_suspects()
    return result


def deliver_hour(hour: HourlyEvents, preparer: Preparer) -> DeliveryResult:
    """Write the events of one hour as one object: all of them, or as many as fit into one, or as the archive accepts.

    Raises what the sender and the store raise; then the object must be written again.
    """
    sender = cast("ObjectSender", preparer.sender)
    while True:
        result = DeliveryResult()
        try:
            sender.send_object(preparer.stream, _hour_records(hour, preparer, result))
        except TooLargeError as error:
            is_single = hour.count == 1
            hour.halve()
            if is_single:
                (event,) = next(hour.events())
                return DeliveryResult(rejected=[Rejection(event, error.code, str(error)[:ANSWER_MAX])])
        else:
            return result


def _prepare(events: Sequence[OutgoingEvent], preparer: Preparer) -> tuple[list[EncodedRecord], DeliveryResult]:
    """Encode events under the cpu lock: several threads that encode at once only slow each other down."""
    with cpu_lock:
        prepared = [preparer.prepare(event) for event in events]
    records = [record for record in prepared if not isinstance(record, FilteredEvent)]
    octets = sum([len(record.data) for record in records])
    return records, DeliveryResult(filtered=len(prepared) - len(records), octets=octets)


def _hour_records(hour: HourlyEvents, preparer: Preparer, result: DeliveryResult) -> Iterator[Sequence[EncodedRecord]]:
    for events in hour.events():
        records, part = _prepare(events, preparer)
        result.sent += len(records)
        result.filtered += part.filtered
        result.octets += part.octets
        if records:
            yield records
        if result.octets >= preparer.sender.limits.bytes:
            return


def split_batches(records: Sequence[EncodedRecord], events: int, size: int) -> Iterator[Sequence[EncodedRecord]]:
    """Split records by group, then by count and by bytes. Groups keep their order, and no batch is empty."""
    groups: dict[tuple[str, ...], list[EncodedRecord]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    for group in groups.values():
        yield from _split_group(group, events, size)


def _split_group(group: Sequence[EncodedRecord], events: int, size: int) -> Iterator[Sequence[EncodedRecord]]:
    if len(group) <= events and sum([len(record.data) for record in group]) <= size:
        yield group
        return
    start, total = 0, 0
    for index, record in enumerate(group):
        if index > start and (total + len(record.data) > size or index - start >= events):
            yield group[start:index]
            start, total = index, 0
        total += len(record.data)
    if start < len(group):
        yield group[start:]


@dataclass(frozen=True, slots=True)
class _Delivery:
    name: str
    preparer: Preparer
    sleep: Callable[[float], object]
    result: DeliveryResult
    suspects: list[tuple[EncodedRecord, RequestRejectedError]] = field(default_factory=list)

    def send(self, records: Sequence[EncodedRecord]) -> None:
        """Send records until each one is accepted or rejected, or is a suspect."""
        left = records
        for pause in [*_PAUSES, None]:
            try:
                answer = self.preparer.sender.send(self._batch(left))
            except TooLargeError as error:
                self._halve(left, error)
                return
            except RequestRejectedError as error:
                self._bisect(left, error)
                return
            self._record(left, answer)
            if not answer.deferred:
                return
            left = [left[index] for index in answer.deferred]
            if pause is not None:
                self.sleep(min(answer.retry_after or pause, PAUSE_MAX))
        raise _deferred_error(len(left))

    def settle_suspects(self) -> None:
        """Reject the suspects for good if the SIEM accepted other events. If it accepted none, raise its error."""
        if self.suspects and not self.result.sent:
            raise self.suspects[0][1]
        self.result.rejected += [
            _rejection(record, RejectedRecord(0, error.code, str(error))) for record, error in self.suspects
        ]

    def _halve(self, records: Sequence[EncodedRecord], error: TooLargeError) -> None:
        if len(records) == 1:
            self.result.rejected.append(_rejection(records[0], RejectedRecord(0, error.code, str(error))))
            return
        self._send_halves(records)

    def _bisect(self, records: Sequence[EncodedRecord], error: RequestRejectedError) -> None:
        if len(records) > 1:
            self._send_halves(records)
            return
        self.suspects.append((records[0], error))
        if len(self.suspects) >= SUSPECTS and not self.result.sent:
            raise error

    def _send_halves(self, records: Sequence[EncodedRecord]) -> None:
        middle = len(records) // 2
        self.send(records[:middle])
        self.send(records[middle:])

    def _record(self, records: Sequence[EncodedRecord], answer: BatchResult) -> None:
        self.result.rejected += [_rejection(records[rejected.index], rejected) for rejected in answer.rejected]
        self.result.sent += len(records) - len(answer.rejected) - len(answer.deferred)

    def _batch(self, records: Sequence[EncodedRecord]) -> Batch:
        # The name covers all ids. The rest of a request may begin and end with the same events as the whole did, and a
        # SIEM that remembers names would ignore it.
        ids = array("q", [record.event.id for record in records])
        digest = blake2b(ids.tobytes(), digest_size=6).hexdigest()
        return Batch(f"{self.name}-{ids[0]}-{ids[-1]}-{digest}", self.preparer.stream, records)


def _deferred_error(number: int) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The SIEM accepted only a part: it deferred {number:,} events {TRIES} times.",
        hint="They are sent again. If this continues, look at the SIEM's load and its queues.",
        code="deferred",
    )


def _rejection(record: EncodedRecord, rejected: RejectedRecord) -> Rejection:
    return Rejection(record.event, rejected.code, rejected.answer[:ANSWER_MAX])
