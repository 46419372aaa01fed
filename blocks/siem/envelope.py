"""An event and its metadata as one JSON object on one line, for targets that take nothing beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem import metadata
from blocks.siem.json_text import encoded

if TYPE_CHECKING:
    from blocks.siem.event import Shaped

FACTS = frozenset({"uuid", "api", "time", "received", "account", "event"})
"""Members that no field may stand in for."""


def enveloped(shaped: Shaped) -> bytes:
    """Of the shape raw: its metadata, its facts, and the body under `event`, byte for byte.

    The other shapes hold all that themselves, so their document is the whole of it. No line break is in it.
    """
    if shaped.shape != "raw":
        return shaped.document
    beside = {name: value for name, value in metadata.of(shaped).items() if name not in FACTS}
    start = encoded({**beside, **metadata.facts(shaped)})
    return start[:-1] + b',"event":' + shaped.document + b"}"
