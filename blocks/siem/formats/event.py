"""What is forwarded: an event as the store has it, and what is the same for all events of one stream.

What is made once for each event is a struct of msgspec, which costs a tenth of a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.events_api.models import Api

FieldValue = str | bool | int | float
Classifier = Literal["event-id", "parser"]
"""How a SIEM is told what an event is: by `_siemEventID`, or by `_siemParser`. Never both."""


class OutgoingEvent(msgspec.Struct, frozen=True, gc=False):
    """One stored event. Times are nanoseconds since 1970 in UTC; `body` is exactly as 1Password sent it."""

    id: int
    uuid: str
    time_ns: int
    received_ns: int
    body: str


@dataclass(frozen=True, slots=True)
class StreamMetadata:
    """What goes with each event of a stream: API, source and its metadata.

    `fields` are those of the source that are known and enabled. `account` is the source's, where it is known; an
    event that names its own account has that one. `classifier` is None where the events are not meant for a SIEM
    (`_siemForward` is not true): then no `_siem…` member is sent.
    """

    api: Api
    source: str
    category: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    account: str | None = None
    classifier: Classifier | None = "event-id"
    namespace: str = "default"
    """Of the data stream that the events go to, for the shape ECS: an index has one value of it."""


class FormattedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event in the shape that a SIEM wants.

    `document` is one JSON object in UTF-8 without line breaks: for the shape `raw` the body itself, byte for byte
    (line breaks between its members, where there are any, become spaces); else a document of that shape, which holds
    the metadata too.
    """

    event: OutgoingEvent
    stream: StreamMetadata
    shape: str
    document: bytes
    event_id: str
    """Such as `signin-success`; see `metadata`."""
    account: str | None
