"""Events as lines of JSON, packed with gzip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.delivery.packing import gzipped_parts
from blocks.siem.formats.envelope import enveloped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blocks.siem.delivery.protocol import Record
    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

SUFFIX = "ndjson.gz"
CONTENT_TYPE = "application/gzip"


def encoded(shaped: FormattedEvent) -> bytes:
    """One JSON object, and the end of its line."""
    return enveloped(shaped) + b"\n"


def packed(stream: StreamMetadata, records: Iterable[Sequence[Record]]) -> bytes:  # noqa: ARG001 - each line has it
    """The lines of an object, the same bytes whenever it is made."""
    return gzipped_parts(b"".join([record.data for record in some]) for some in records)
