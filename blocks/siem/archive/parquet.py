"""Events as a Parquet table, written by arro3. This module is imported only if the format is Parquet.

arro3 is the Python binding of Apache Arrow's Rust implementation, by the authors of obstore: 33 MB installed, compared
with 170 MB of pyarrow. Other light writers need pandas.
"""

from __future__ import annotations

import io
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from blocks import extras
from blocks.errors import ThirdPartyConfigError
from blocks.siem.formats import json_text, metadata

try:
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet
except ImportError as error:
    raise ThirdPartyConfigError(
        "An archive is configured for Parquet, but the package that writes Parquet is not installed.",
        hint=f"Install it with: {extras.install_command('parquet')}, or choose ndjson.gz.",
        code="parquet",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from blocks.siem.delivery.protocol import EncodedRecord
    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

SUFFIX = "parquet"
CONTENT_TYPE = "application/vnd.apache.parquet"
COMPRESSION = "zstd(3)"
GROUP = 10_000  # rows of a row group: only one group is in memory at a time
_TIME = DataType.timestamp("ns", tz="UTC")


class ParquetRow(NamedTuple):
    """The data of an event's record, beside the event and the stream."""

    format_name: str
    event_id: str
    account: str | None
    document: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ParquetRow).decode


def encode(formatted: FormattedEvent) -> bytes:
    """Return what `pack` needs of an event. It is not Parquet yet, which only exists for many rows."""
    return _encode((formatted.format_name, formatted.event_id, formatted.account, formatted.document.decode()))


def pack(stream: StreamMetadata, records: Iterable[Sequence[EncodedRecord]]) -> bytes:
    """Return a table of the records. They become rows while it is written, one row group after the other.

    Columns: `uuid`, `time`, `received` (nanoseconds, UTC), `api`, `account`, `source`, `event_id`, `category`,
    `metadata` (JSON, as `metadata.of` has it), and `body` for the format raw, `document` for the others. Raises what
    `records` raises.
    """
    some = iter(records)
    first = next(some)
    source = _ErrorCapture(chain([first], some))
    file = io.BytesIO()
    is_raw = _decode(first[0].data).format_name == "raw"
    batches = RecordBatchReader.from_batches(
        _schema(is_raw=is_raw), map(partial(_rows, stream, is_raw=is_raw), source)
    )  # they are read while the table is written
    try:
        write_parquet(batches, file, compression=COMPRESSION, max_row_group_size=GROUP)
    except Exception:
        if source.error is not None:
            raise source.error from None
        raise
    return file.getvalue()


class _ErrorCapture:
    """Iterates, and keeps the exception that this raises: arro3 would replace it with one of its own."""

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
        _texts([_metadata_json(metadata.metadata_group(stream, row.event_id)) for row in rows]),
        _texts([row.document for row in rows]),
    ]
    return RecordBatch.from_arrays(columns, schema=_schema(is_raw=is_raw))


@lru_cache(maxsize=1024)
def _metadata_json(group: metadata.MetadataGroup) -> str:
    return json_text.to_json({**group.standard, **group.fields}).decode()


def _texts(values: Sequence[str | None]) -> Array:
    return Array(values, type=DataType.string())


def _times(values: Sequence[int]) -> Array:
    return Array(values, type=DataType.int64()).cast(_TIME)
