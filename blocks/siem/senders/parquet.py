"""Events as a table in Parquet. arro3 writes it, which is imported only where Parquet is chosen.

arro3 is the Python binding of Apache Arrow's Rust implementation, by the makers of obstore: 33 MB installed against
170 MB of pyarrow. Other light writers build on pandas.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from blocks.errors import ThirdPartyConfigError
from blocks.siem.shapes import json_text, metadata

try:
    from arro3.core import Array, DataType, Table
    from arro3.io import write_parquet
except ImportError as error:
    raise ThirdPartyConfigError(
        "Parquet is chosen for an archive, but what writes it is not installed.",
        hint="Install it with: pip install 'onepassword-source[parquet]', or choose ndjson.gz.",
        code="parquet",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blocks.siem.event import Outgoing, Shaped
    from blocks.siem.sending import Batch

SUFFIX = "parquet"
CONTENT_TYPE = "application/vnd.apache.parquet"
COMPRESSION = "zstd(3)"


class Row(NamedTuple):
    """What an event's record holds beside the event and the stamp."""

    shape: str
    event_id: str
    account: str | None
    document: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Row).decode


def encoded(shaped: Shaped) -> bytes:
    """What `packed` needs of an event; it is no Parquet yet, which exists for a whole table only."""
    return _encode((shaped.shape, shaped.event_id, shaped.account, shaped.document.decode()))


def packed(batch: Batch) -> bytes:
    """A table of the batch.

    Columns: `uuid`, `time`, `received` (nanoseconds, UTC), `api`, `account`, `source`, `event_id`, `category`,
    `metadata` (JSON, as `metadata.of` has it), and `body` for the shape raw, `document` for the others.
    """
    file = io.BytesIO()
    write_parquet(Table.from_pydict(_columns(batch)), file, compression=COMPRESSION)
    return file.getvalue()


def _columns(batch: Batch) -> dict[str, Any]:
    rows = [_decode(record.data) for record in batch.records]
    events = [record.event for record in batch.records]
    stamp, count = batch.stamp, len(rows)
    return {
        "uuid": _texts([event.uuid for event in events]),
        "time": _times(events, lambda event: event.time_ns),
        "received": _times(events, lambda event: event.received_ns),
        "api": _texts([stamp.api.value] * count),
        "account": _texts([row.account for row in rows]),
        "source": _texts([stamp.source] * count),
        "event_id": _texts([row.event_id for row in rows]),
        "category": _texts([stamp.category] * count),
        "metadata": _texts([_told(metadata.group_of(stamp, row.event_id)) for row in rows]),
        "body" if rows[0].shape == "raw" else "document": _texts([row.document for row in rows]),
    }


@lru_cache(maxsize=1024)
def _told(group: metadata.Group) -> str:
    return json_text.encoded({**group.ours, **group.fields}).decode()


def _texts(values: Sequence[str | None]) -> Array:
    return Array(values, type=DataType.string())


def _times(events: Sequence[Outgoing], of: Callable[[Outgoing], int]) -> Array:
    numbers = Array([of(event) for event in events], type=DataType.int64())
    return numbers.cast(DataType.timestamp("ns", tz="UTC"))
