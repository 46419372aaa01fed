"""Events as lines of JSON, compressed with gzip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.delivery.http import gzip_parts
from blocks.siem.formats.raw import envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blocks.siem.delivery.protocol import EncodedRecord
    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

SUFFIX = "ndjson.gz"
CONTENT_TYPE = "application/gzip"


def encode(formatted: FormattedEvent) -> bytes:
    """Return one JSON object on a line."""
    return envelope(formatted) + b"\n"


def pack(stream: StreamMetadata, records: Iterable[Sequence[EncodedRecord]]) -> bytes:  # noqa: ARG001 - each line has it
    """Return the content of an object. The same events give the same bytes."""
    return gzip_parts(b"".join([record.data for record in some]) for some in records)
