"""What is forwarded: an event as it is stored, the metadata of its stream, and the event in its format.

The records that exist once for each event are structs of msgspec. Making one costs a tenth of a frozen dataclass.
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
"""How Sumo Logic's SIEM learns the type of an event: from `_siemEventID`, or from `_siemParser`. Never both."""


class OutgoingEvent(msgspec.Struct, frozen=True, gc=False):
    """One stored event. Times are nanoseconds since 1970 in UTC; `body` is exactly as 1Password sent it."""

    id: int
    uuid: str
    time_ns: int
    received_ns: int
    body: str


@dataclass(frozen=True, eq=False, slots=True)
class StreamMetadata:
    """The metadata of one stream: the API, the source and what the user configured for it.

    `fields` are the source's fields that are enabled. `account` is the source's account, where it is known; an event
    that names its own account overrides it. `classifier` is None if forwarding to SIEMs is not enabled (`_siemForward`
    is not true); then no `_siem…` member is sent. `namespace` is that of the data stream that the events go to, for
    the format ECS: an index holds one value of it.

    Two records are never equal. Caches use a record as a key, and its hash is its identity.
    """

    api: Api
    source: str
    category: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    account: str | None = None
    classifier: Classifier | None = "event-id"
    namespace: str = "default"


class EncoderInput(msgspec.Struct, frozen=True, gc=False):
    """What an encoder reads: an event, the text of its body after redaction, its event id and its account."""

    event: OutgoingEvent
    stream: StreamMetadata
    original: str
    event_id: str
    account: str | None


class FormattedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event in the format that a SIEM is configured for.

    `document` is one JSON object in UTF-8 on one line. In the format `raw` it is the body, byte for byte, except that
    line breaks between members become spaces. In the other formats it also holds the metadata. `event_id` is a text
    such as `signin-success`; see `metadata.event_id`.
    """

    event: OutgoingEvent
    stream: StreamMetadata
    format_name: str
    document: bytes
    event_id: str
    account: str | None
