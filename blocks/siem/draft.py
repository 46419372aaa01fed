"""What a shape is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.siem.event import Outgoing, Stamp


@dataclass(frozen=True, slots=True)
class Draft:
    """An event, what the rules left of its body, and that body's members, each of which may be anything."""

    event: Outgoing
    stamp: Stamp
    body: bytes
    members: Mapping[str, Any]
    event_id: str
    account: str | None
