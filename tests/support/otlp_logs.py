"""Send events to a collector of OpenTelemetry, and read the attributes of what it received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from receivers.otlp import plain
from support import siems

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.delivery.protocol import BatchResult
    from blocks.siem.formats.event import OutgoingEvent
    from blocks.siem.otlp.sender import OtlpSender


def members(attributes: Sequence[Any]) -> dict[str, Any]:
    """The attributes by their keys, of which each comes once."""
    names = [one.key for one in attributes]
    assert len(names) == len(set(names))
    return {one.key: plain(one.value) for one in attributes}


def send(sender: OtlpSender, *events: OutgoingEvent, **of: Any) -> BatchResult:
    """Send events, or ten sign-ins, in one batch."""
    chosen = events or siems.events(Api.SIGN_IN)[:10]
    return sender.send(siems.batch(sender, chosen, siems.stream(**of)))
