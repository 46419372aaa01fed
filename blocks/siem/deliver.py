"""Deliver a portion of events: grouped, cut to the SIEM's size, sent, and sent again where the SIEM took a part."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyGenericError
from blocks.siem.prepare import Kept
from blocks.siem.sending import Batch, Record, Refused, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from blocks.siem.event import Outgoing
    from blocks.siem.prepare import Preparer

TRIES = 6
"""How often the same request is made for records that the SIEM puts off, within one attempt."""
PAUSE_SECONDS, PAUSE_MAX = 0.5, 15.0
ANSWER_MAX = 500  # characters that are kept of what a SIEM says of an event


@dataclass(frozen=True, slots=True)
class Turned:
    """A record that was refused for good, and what the SIEM said of it."""

    event: Outgoing
    code: str
    answer: str


@dataclass
class Delivered:
    """What became of a portion: each of its events is in one of the three."""

    sent: int = 0
    kept: int = 0
    turned: list[Turned] = field(default_factory=list)


def deliver(
    name: str, events: Sequence[Outgoing], preparer: Preparer, sleep: Callable[[float], None] = time.sleep
) -> Delivered:
    """Send all of a portion, or raise what the sender raises; then it is all sent again.

    `name` says whose it is: with the ids of the first and the last event of a request it makes the request's own name.
    """
    made = [preparer.prepare(event) for event in events]
    records = [one for one in made if not isinstance(one, Kept)]
    done = Delivered(kept=len(made) - len(records))
    limits = preparer.sender.limits
    for chosen in cut(records, limits.events, limits.bytes):
        _send(name, chosen, preparer, done, sleep)
    return done


def cut(records: Sequence[Record], events: int, size: int) -> Iterator[Sequence[Record]]:
    """By group, in the order in which the groups come first; then by count and by bytes. Never an empty one."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    for group in groups.values():
        yield from _sized(group, events, size)


def _sized(group: Sequence[Record], events: int, size: int) -> Iterator[Sequence[Record]]:
    start, total = 0, 0
    for at, record in enumerate(group):
        if at > start and (total + len(record.data) > size or at - start >= events):
            yield group[start:at]
            start, total = at, 0
        total += len(record.data)
    if start < len(group):
        yield group[start:]


def _send(
    name: str, records: Sequence[Record], preparer: Preparer, done: Delivered, sleep: Callable[[float], None]
) -> None:
    try:
        _send_whole(name, records, preparer, done, sleep)
    except TooLargeError as error:
        if len(records) == 1:
            done.turned.append(_turned(records[0], Refused(0, error.code, str(error))))
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            _send(name, half, preparer, done, sleep)


def _send_whole(
    name: str, records: Sequence[Record], preparer: Preparer, done: Delivered, sleep: Callable[[float], None]
) -> None:
    left = records
    for attempt in range(TRIES):
        answer = preparer.sender.send(_batch(name, left, preparer))
        done.turned += [_turned(left[one.index], one) for one in answer.refused]
        done.sent += len(left) - len(answer.refused) - len(answer.again)
        if not answer.again:
            return
        left = [left[index] for index in answer.again]
        sleep(min(answer.wait or PAUSE_SECONDS * 2**attempt, PAUSE_MAX))
    raise ThirdPartyGenericError(
        f"The SIEM took only a part: it put {len(left):,} events off {TRIES} times.",
        hint="They are sent again. Look at its load and its queues if that goes on.",
        code="put-off",
    )


def _batch(name: str, records: Sequence[Record], preparer: Preparer) -> Batch:
    return Batch(f"{name}-{records[0].event.id}-{records[-1].event.id}", preparer.stamp, records)


def _turned(record: Record, refused: Refused) -> Turned:
    return Turned(record.event, refused.code, refused.answer[:ANSWER_MAX])
