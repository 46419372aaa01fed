"""Events to forward, and functions that format, batch and send them."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.siem.delivery.deliver import split_batches
from blocks.siem.delivery.protocol import Batch
from blocks.siem.formats import registry
from blocks.siem.formats.event import OutgoingEvent, StreamMetadata
from deployments.sandbox.sample_events import SECOND, event_time, make_body, random_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from blocks.siem.delivery.protocol import BatchResult, EncodedRecord, Sender
    from blocks.siem.formats.event import FormattedEvent

SEED = 7
START_NS = 1_772_600_767_000_000_000  # 2026-03-04T05:06:07Z
RECEIVED_NS = START_NS + 240_123_456_789
DOCUMENTED = 3 * 160  # as many numbers go once through all that is documented: every third takes the next value
ACCOUNT = "ACCT2222ACCT2222ACCT2222AC"
FORMATS = ("raw", "ecs", "ocsf")


@cache
def events(api: Api, n: int = DOCUMENTED) -> tuple[OutgoingEvent, ...]:
    """The first `n` events of the sandbox. Their times have 0 to 9 digits; each hundred share a time of receipt.

    The default `n` covers every documented category, type, action and type of object.
    """
    return tuple(_event(api, number) for number in range(n))


def _event(api: Api, number: int) -> OutgoingEvent:
    when = event_time(START_NS + number * SECOND + 987_654_321, number % 10)
    body = make_body(SEED, api.path, number, random_for(SEED, api.path, number), when).v2.decode()
    received_ns = RECEIVED_NS + number // 100 * SECOND
    return OutgoingEvent(number + 1, json.loads(body)["uuid"], when.ns, received_ns, body)


def event(api: Api = Api.SIGN_IN, **members: Any) -> OutgoingEvent:
    """One event with these members in its body, in addition to uuid and time."""
    body = {"uuid": "A" * 26, "timestamp": "2026-03-04T05:06:07.089Z", **members}
    return OutgoingEvent(1, body["uuid"], START_NS + 89_000_000, RECEIVED_NS, json.dumps(body, separators=(",", ":")))


def stream(api: Api = Api.SIGN_IN, **members: Any) -> StreamMetadata:
    """The stream of a source with two custom fields, a category and a known account."""
    fields = {"team": "blue", "tier": 2}
    given = {"source": "1Pass", "category": "sec/1password", "fields": fields, "account": ACCOUNT, **members}
    return StreamMetadata(api, **given)


def formatted(api: Api, n: int = DOCUMENTED, format_name: str = "raw", **members: Any) -> list[FormattedEvent]:
    """The sandbox's events in a format; `members` are those of the stream."""
    return of_events(events(api, n), stream(api, **members), format_name)


def of_events(outgoings: Iterable[OutgoingEvent], of: StreamMetadata, format_name: str = "raw") -> list[FormattedEvent]:
    return [registry.format_event(format_name, one, of) for one in outgoings]


def batch(
    sender: Sender, outgoings: Iterable[OutgoingEvent], of: StreamMetadata | None = None, format_name: str = "raw"
) -> Batch:
    """One batch of all these events. If the sender puts them into several groups, use `batches`."""
    made = batches(sender, outgoings, of, format_name)
    assert len(made) == 1
    return made[0]


def batches(
    sender: Sender, outgoings: Iterable[OutgoingEvent], of: StreamMetadata | None = None, format_name: str = "raw"
) -> list[Batch]:
    """Batches within the sender's limits, one group each, as the forwarder makes them."""
    return of_formatted(sender, of_events(outgoings, of or stream(), format_name))


def of_formatted(sender: Sender, formatted_events: Sequence[FormattedEvent]) -> list[Batch]:
    records = [sender.encode(one) for one in formatted_events]
    limits = sender.limits
    return [_batch(formatted_events[0].stream, part) for part in split_batches(records, limits.events, limits.bytes)]


def _batch(of: StreamMetadata, records: Sequence[EncodedRecord]) -> Batch:
    return Batch(f"{of.api.path}-{records[0].event.id}-{records[-1].event.id}", of, records)


def send_all(sender: Sender, formatted_events: Sequence[FormattedEvent]) -> list[BatchResult]:
    """Encode, batch and send events. Returns the results of the batches."""
    return [sender.send(one) for one in of_formatted(sender, formatted_events)]
