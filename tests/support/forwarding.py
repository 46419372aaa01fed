"""A pair of source and SIEM on a store that is filled page by page, and senders with planned answers."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from support.chains import Filled
from support.values import SOURCE

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.prepare import Preparer
from blocks.siem.delivery.protocol import ACCEPTED, BatchResult, EncodedRecord, Limits
from blocks.siem.formats import registry
from blocks.siem.formats.event import OutgoingEvent, StreamMetadata
from blocks.siem.privacy.rules import NONE
from blocks.store import sources
from blocks.store.forwarding import forward_pairs, positions
from blocks.store.forwarding.positions import BatchOutcome
from blocks.store.forwarding.rejected_events import RejectedEvent
from tasks.forward import StreamForwarder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from blocks.errors import SourceError
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent
    from blocks.siem.privacy.rules import Rules
    from blocks.store.forwarding.positions import PositionView
    from blocks.store.forwarding.records import ForwardPair, PositionClaim

SIEM = "soc"
STREAM = StreamMetadata(Api.AUDIT, "1Pass")
BUSY = ThirdPartyGenericError("The SIEM answered 503.", code="503")


def accept_all(_: Batch) -> BatchResult:
    return ACCEPTED


@dataclass
class FakeSender:
    """A sender that returns what `answer` returns, and records the batches that it got and the events it accepted."""

    answer: Callable[[Batch], BatchResult] = accept_all
    limits: Limits = field(default_factory=lambda: Limits(events=10, bytes=1_000_000, parallel=1))
    batches: list[Batch] = field(default_factory=list)
    accepted: Counter[int] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        return EncodedRecord(formatted.event, formatted.document)

    def send(self, batch: Batch) -> BatchResult:
        with self._lock:
            self.batches.append(batch)
        answer = self.answer(batch)
        left = {*answer.deferred, *(one.index for one in answer.rejected)}
        with self._lock:
            self.accepted.update(record.event.id for place, record in enumerate(batch.records) if place not in left)
        return answer

    def check(self) -> str:
        return "It accepts events."

    def close(self) -> None:
        pass

    @property
    def names(self) -> list[str]:
        return [batch.name for batch in self.batches]

    @property
    def ids(self) -> list[list[int]]:
        """The ids of the events of each batch, in the order of the batches."""
        return [[record.event.id for record in batch.records] for batch in self.batches]


def preparer(sender: FakeSender, rules: Rules = NONE, stream: StreamMetadata = STREAM) -> Preparer:
    return Preparer(sender, rules, "raw", stream)


def outgoing(*ids: int, body: str = "{}") -> list[OutgoingEvent]:
    return [OutgoingEvent(id_, f"U{id_}", id_, id_, body) for id_ in ids]


def records(*ids: int, size: int = 2, group: tuple[str, ...] = ()) -> list[EncodedRecord]:
    return [EncodedRecord(event, b"x" * size, group) for event in outgoing(*ids)]


def format_raw(event: OutgoingEvent) -> FormattedEvent:
    return registry.format_event("raw", event, STREAM)


@dataclass
class Pair:
    """SOURCE and the SIEM `soc`; `filled` commits events."""

    engine: Engine
    record: ForwardPair
    filled: Filled

    @classmethod
    def create(cls, engine: Engine, kind: str = "webhook", fingerprint: str = "first") -> Pair:
        sources.save(engine, replace(SOURCE, fields={"_siemForward": True}))
        record, _ = forward_pairs.save(engine, SOURCE.id, SIEM, kind, {}, fingerprint)
        filled = Filled(engine)
        filled.id_of(Api.AUDIT)  # not while `ask` has SQLite's one connection
        return cls(engine, record, filled)

    def view(self, api: Api = Api.AUDIT) -> PositionView:
        return {one.api: one for one in positions.of_pair(self.engine, self.record.id)}[api]

    def claim(self, api: Api = Api.AUDIT, holder: str = "run-1") -> PositionClaim:
        claim = positions.acquire(self.engine, self.view(api), holder)
        assert claim
        return claim

    def forward(
        self, sender: FakeSender, api: Api = Api.AUDIT, rules: Rules = NONE, claim: PositionClaim | None = None
    ) -> Any:
        """Forward one stream as a run does, without Prefect."""
        return StreamForwarder(self.engine, claim or self.claim(api), preparer(sender, rules)).forward()

    def ids(self, api: Api = Api.AUDIT) -> list[int]:
        stream = self.filled.id_of(api)
        return [id_ for (id_,) in self.filled.ask(f"SELECT id FROM events WHERE stream_id = {stream} ORDER BY id")]

    def rejects(self, *places: int) -> list[int]:
        """Let the SIEM reject the audit events at these indexes and accept the others. Returns the rejected ids."""
        ids = self.ids()
        items = tuple(RejectedEvent(ids[place], f"audit-{place:06}", "400", f"no {place}") for place in places)
        positions.advance(self.engine, self.claim(), BatchOutcome(ids[0], ids[-1], len(ids) - len(items), 0, items), [])
        return [ids[place] for place in places]

    def actions(self) -> list[str]:
        """The actions in the audit log, oldest first."""
        return [row[0] for row in self.filled.ask("SELECT action FROM audit_log WHERE action <> 'create' ORDER BY id")]

    def health_events(self) -> list[tuple[str, str, str]]:
        """Name, severity and status of each health event, oldest first."""
        return self.filled.ask("SELECT name, severity, status FROM health_events ORDER BY id")  # type: ignore[return-value]


def chunks(ids: Sequence[int], size: int) -> list[list[int]]:
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]


def failing(*places: int, of: Pair, error: SourceError = BUSY) -> Callable[[Batch], BatchResult]:
    """Fails for batches in these places, of ten events each."""
    batches = chunks(of.ids(), 10)

    def answer(batch: Batch) -> BatchResult:
        if any(batch.records[0].event.id in batches[place] for place in places if place < len(batches)):
            raise error
        return ACCEPTED

    return answer


def once_all_begun(answer: Callable[[Batch], BatchResult], number: int = 4) -> Callable[[Batch], BatchResult]:
    """The same, once so many batches are on their way."""
    all_begun = threading.Barrier(number, timeout=60)

    def wait(batch: Batch) -> BatchResult:
        all_begun.wait()
        return answer(batch)

    return wait
