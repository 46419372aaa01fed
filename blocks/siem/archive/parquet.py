"""Events as a table in Parquet. arro3 writes it, which is imported only where Parquet is chosen.

arro3 is the Python binding of Apache Arrow's Rust implementation, by the makers of obstore: 33 MB installed against
170 MB of pyarrow. Other light writers build on pandas.
"""

from __future__ import annotations

import io
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from blocks.errors import ThirdPartyConfigError
from blocks.siem.formats import json_text, metadata

try:
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet
except ImportError as error:
    raise ThirdPartyConfigError(
        "Parquet is chosen for an archive, but what writes it is not installed.",
        hint="Install it with: pip install 'onepassword-source[parquet]', or choose ndjson.gz.",
        code="parquet",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blocks.siem.delivery.protocol import EncodedRecord
    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

SUFFIX = "parquet"
CONTENT_TYPE = "application/vnd.apache.parquet"
COMPRESSION = "zstd(3)"
GROUP = 10_000  # rows of a group: what is encoded of one is in memory, and the next ones are not read yet
_TIME = DataType.timestamp("ns", tz="UTC")


class ParquetRow(NamedTuple):
    """What an event's record holds beside the event and the stream."""

    format_name: str
    event_id: str
    account: str | None
    document: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ParquetRow).decode


def encode(formatted: FormattedEvent) -> bytes:
    """What `packed` needs of an event; it is no Parquet yet, which exists for many rows only."""
    return _encode((formatted.format_name, formatted.event_id, formatted.account, formatted.document.decode()))


def pack(stream: StreamMetadata, records: Iterable[Sequence[EncodedRecord]]) -> bytes:
    """A table of the records, which come to be rows while it is written, a group after the other.

    Columns: `uuid`, `time`, `received` (nanoseconds, UTC), `api`, `account`, `source`, `event_id`, `category`,
    `metadata` (JSON, as `metadata.of` has it), and `body` for the format raw, `document` for the others. Raises what
    `records` raises.
    """
    some = iter(records)
    first = next(some)
    kept = _Kept(chain([first], some))
    file = io.BytesIO()
    is_raw = _decode(first[0].data).format_name == "raw"
    batches = RecordBatchReader.from_batches(
        _schema(is_raw=is_raw), map(partial(_rows, stream, is_raw=is_raw), kept)
    )  # read while it is written
    try:
        write_parquet(batches, file, compression=COMPRESSION, max_row_group_size=GROUP)
    except Exception:
        if kept.error is not None:
            raise kept.error from None
        raise
    return file.getvalue()


class _Kept:
    """Iterates, and remembers what that raised: behind arro3 it would be an error of another kind."""

    def __init__(self, some: Iterator[Sequence[EncodedRecord]]) -> None:
        self._some = some
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Sequence[EncodedRecord]]:
        try:
            yield from self._some
        except Exception as error:
            self.error = error
            raise


def _schema(*, is_raw: bool) -> Schema:
    names = ["api", "account", "source", "event_id", "category", "metadata", "body" if is_raw else "document"]
    times = [Field(name, _TIME) for name in ("time", "received")]
    return Schema([Field("uuid", DataType.string()), *times, *(Field(name, DataType.string()) for name in names)])


def _rows(stream: StreamMetadata, records: Sequence[EncodedRecord], *, is_raw: bool) -> RecordBatch:
    rows = [_decode(record.data) for record in records]
    events = [record.event for record in records]
    count = len(rows)
    columns = [
        _texts([event.uuid for event in events]),
        _times([event.time_ns for event in events]),
        _times([event.received_ns for event in events]),
        _texts([stream.api.value] * count),
        _texts([row.account for row in rows]),
        _texts([stream.source] * count),
        _texts([row.event_id for row in rows]),
        _texts([stream.category] * count),
        _texts([_told(metadata.metadata_group(stream, row.event_id)) for row in rows]),
        _texts([row.document for row in rows]),
    ]
    return RecordBatch.from_arrays(columns, schema=_schema(is_raw=is_raw))


@lru_cache(maxsize=1024)
def _told(group: metadata.MetadataGroup) -> str:
    return json_text.to_json({**group.standard, **group.fields}).decode()


def _texts(values: Sequence[str | None]) -> Array:
    return Array(values, type=DataType.string())


def _times(values: Sequence[int]) -> Array:
    return Array(values, type=DataType.int64()).cast(_TIME)
