"""The format raw: the body as 1Password sent it, and the envelope that carries its metadata."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from blocks.siem.formats import json_text, metadata
from blocks.siem.formats.json_text import to_json

if TYPE_CHECKING:
    from blocks.siem.formats.event import FormattedEvent

RESERVED_MEMBERS = frozenset({"uuid", "api", "time", "received", "account", "event"})
"""Members of the envelope that a field of the source cannot replace."""


class BodyHead(msgspec.Struct, frozen=True, gc=False):
    """The members of a body that identify an event's type and account. Each may have any JSON type."""

    category: Any = None
    action: Any = None
    account_uuid: Any = None


_decode = msgspec.json.Decoder(BodyHead).decode


def parse_head(body: bytes | str) -> BodyHead:
    """Read the head of a body, without decoding the rest. Raises nothing."""
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        members = json_text.parse_object(body)
    return BodyHead(members.get("category"), members.get("action"), members.get("account_uuid"))


def single_line(body: bytes) -> bytes:
    """Return a body on one line. In valid JSON, line breaks occur only between members, so no value changes."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body


def envelope(formatted: FormattedEvent) -> bytes:
    """Return an event and its metadata as one JSON object on one line, for SIEMs that take no metadata beside it.

    In the format raw, the body is in the member `event`, byte for byte. The documents of the other formats hold their
    metadata themselves, so they are returned unchanged.
    """
    if formatted.format_name != "raw":
        return formatted.document
    start = _shared_start(metadata.metadata_group(formatted.stream, formatted.event_id))
    return start + to_json(metadata.event_facts(formatted))[1:-1] + b',"event":' + formatted.document + b"}"


@lru_cache(maxsize=1024)
def _shared_start(group: metadata.MetadataGroup) -> bytes:
    fields = {name: value for name, value in group.fields.items() if name not in RESERVED_MEMBERS}
    return to_json({**group.standard, **fields})[:-1] + b","
