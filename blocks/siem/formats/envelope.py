"""An event and its metadata as one JSON object on one line, for targets that take nothing beside it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from blocks.siem.formats import metadata
from blocks.siem.formats.json_text import to_json

if TYPE_CHECKING:
    from blocks.siem.formats.event import FormattedEvent

RESERVED_MEMBERS = frozenset({"uuid", "api", "time", "received", "account", "event"})
"""Members that no field may stand in for."""


def envelope(shaped: FormattedEvent) -> bytes:
    """Of the shape raw: its metadata, its facts, and the body under `event`, byte for byte.

    The other shapes hold all that themselves, so their document is the whole of it. No line break is in it.
    """
    if shaped.shape != "raw":
        return shaped.document
    start = _start(metadata.metadata_group(shaped.stream, shaped.event_id))
    return start + to_json(metadata.event_facts(shaped))[1:-1] + b',"event":' + shaped.document + b"}"


@lru_cache(maxsize=1024)
def _start(group: metadata.MetadataGroup) -> bytes:
    beside = {name: value for name, value in group.fields.items() if name not in RESERVED_MEMBERS}
    return to_json({**group.standard, **beside})[:-1] + b","
