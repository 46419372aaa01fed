"""Events as lines of JSON, packed with gzip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.senders.packing import gzipped
from blocks.siem.shapes.envelope import enveloped

if TYPE_CHECKING:
    from blocks.siem.event import Shaped
    from blocks.siem.sending import Batch

SUFFIX = "ndjson.gz"
CONTENT_TYPE = "application/gzip"


def encoded(shaped: Shaped) -> bytes:
    """One JSON object, and the end of its line."""
    return enveloped(shaped) + b"\n"


def packed(batch: Batch) -> bytes:
    """The lines of a batch, the same bytes whenever it is made."""
    return gzipped(b"".join([record.data for record in batch.records]))
