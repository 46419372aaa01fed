"""What a shape is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blocks.siem.event import Outgoing, Stamp


@dataclass(slots=True)
class Draft:
    """An event, and as text what the rules left of its body."""

    event: Outgoing
    stamp: Stamp
    original: str
    event_id: str
    account: str | None
