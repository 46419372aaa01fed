"""Write events to an archive: one object for each hour, in a directory or in a bucket."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol

from blocks.siem.archive.objects import object_name
from blocks.siem.delivery.protocol import ACCEPTED, BatchResult, EncodedRecord, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blocks.siem.archive.objects import ObjectStore
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

EVENTS = 50_000
BYTES = 32_000_000  # before compression; only the compressed object is in memory as a whole
LIMITS = Limits(events=EVENTS, bytes=BYTES, parallel=1, hourly=True)


class ObjectFormat(Protocol):
    """How an object encodes events: the modules `ndjson` and `parquet`."""

    SUFFIX: str
    CONTENT_TYPE: str

    def encode(self, formatted: FormattedEvent) -> bytes: ...

    def pack(self, stream: StreamMetadata, records: Iterable[Sequence[EncodedRecord]]) -> bytes: ...


class ArchiveSender:
    """Writes the events of one hour of one stream as one object. Its name comes from its first event.

    Only one object is in flight. After a kill, the same event begins the next batch, so an object that was written and
    not recorded is replaced, even if the batch now ends elsewhere. With two in flight, the second could be left over.
    """

    limits = LIMITS

    def __init__(self, objects: ObjectStore, form: ObjectFormat) -> None:
        self._objects = objects
        self._form = form

    def __repr__(self) -> str:
        return f"ArchiveSender({self._objects!r})"

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        return EncodedRecord(formatted.event, self._form.encode(formatted))

    def send(self, batch: Batch) -> BatchResult:
        self.send_object(batch.stream, iter([batch.records]))
        return ACCEPTED

    def send_object(self, stream: StreamMetadata, records: Iterator[Sequence[EncodedRecord]]) -> None:
        form = self._form
        if first := next(records, None):
            name = object_name(first[0].event, stream, form.SUFFIX)
            self._objects.write(name, form.pack(stream, chain([first], records)), form.CONTENT_TYPE)

    def check(self) -> str:
        return self._objects.check()

    def close(self) -> None:
        """Nothing to close: no connection is open between two objects."""
