"""What a shape is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from blocks.siem.formats.event import OutgoingEvent, StreamMetadata


class EncoderInput(msgspec.Struct, frozen=True, gc=False):
    """An event, and as text what the rules left of its body."""

    event: OutgoingEvent
    stream: StreamMetadata
    original: str
    event_id: str
    account: str | None
