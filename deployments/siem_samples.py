"""What a SIEM would get: the newest events as they would be sent to it, and a test request.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from blocks.errors import SourceError
from blocks.siem.delivery.prepare import FilteredEvent
from blocks.siem.privacy.changed_members import changed_members
from blocks.store.forwarding import forward_pairs, positions, unsent_events
from deployments.siem_test import Sample, SiemTest
from deployments.sources import open_default_store
from tasks.support.siem import load_siem, make_preparer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.prepare import Preparer
    from blocks.siem.delivery.protocol import Sender
    from blocks.siem.formats.event import OutgoingEvent
    from blocks.store.forwarding.records import ForwardPair


def try_siem(name: str, source: str | None = None, number: int = 5, *, offline: bool = False) -> SiemTest:
    """Encode the newest `number` events of each API, and send a test request unless `offline`. No event is sent.

    Raises SourceError if there is no such SIEM, or its configuration cannot be read.
    """
    engine = open_default_store()
    pairs = forward_pairs.require(engine, name, source)
    block = load_siem(name, pairs[0].kind)
    with closing(block.get_sender()) as sender:
        samples = tuple(one for pair in pairs for one in _samples(engine, pair, block, sender, number))
        answer, works = ("", True) if offline else _check(sender)
    return SiemTest(name, samples, answer, works)


def _check(sender: Sender) -> tuple[str, bool]:
    try:
        return sender.check(), True
    except SourceError as error:
        return str(error), False


def _samples(engine: Engine, pair: ForwardPair, block: SiemBlock, sender: Sender, number: int) -> Iterator[Sample]:
    for view in positions.of_pair(engine, pair.id):
        preparer = make_preparer(engine, pair.source_id, view.api, block, sender)
        withheld = preparer.stream.classifier is None and not block.is_archive
        for event in unsent_events.newest(engine, view.stream_id, number):
            yield _sample(pair.source, preparer, event, withheld=withheld)


def _sample(source: str, preparer: Preparer, event: OutgoingEvent, *, withheld: bool) -> Sample:
    api, made = str(preparer.stream.api), preparer.prepare(event)
    if isinstance(made, FilteredEvent):
        return Sample(source, api, event.uuid, withheld, filtered_by=made.reason)
    body = preparer.apply_rules(event).body
    redacted = () if body is None else tuple(changed_members(event.body, body))
    # A record of a JSON array brings the comma before the next one, or the end of its line.
    record = made.data.decode(errors="replace").strip().removesuffix(",")
    return Sample(source, api, event.uuid, withheld, record, tuple(made.group), redacted)
