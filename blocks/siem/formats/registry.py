"""The formats of an event: raw, ECS, OCSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.events_api.models import UUID_MAX, Api
from blocks.siem.formats import body as bodies
from blocks.siem.formats import ecs, metadata, raw
from blocks.siem.formats.event import EncoderInput, FormattedEvent
from blocks.siem.formats.ocsf import audit, item_usage, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blocks.siem.formats.event import OutgoingEvent, StreamMetadata

    Write = Callable[[EncoderInput, Any], bytes]


def format_event(
    format_name: str, event: OutgoingEvent, stream: StreamMetadata, body: bytes | None = None
) -> FormattedEvent:
    """Return an event in one of the formats.

    `body` is the body after redaction; without it, the event's own body is used. Raises KeyError if there is no such
    format, and nothing for any body.
    """
    if format_name == "raw":
        return _raw(event, stream, event.body.encode() if body is None else body)
    original = event.body if body is None else body.decode(errors="replace")
    return _format(format_name, _WRITERS[format_name][stream.api], event, stream, original)


def _raw(event: OutgoingEvent, stream: StreamMetadata, body: bytes) -> FormattedEvent:
    head = raw.parse_head(body)
    action = head.category if stream.api is _SIGN_IN else head.action
    event_id = metadata.event_id(stream.api, action)
    return FormattedEvent(event, stream, "raw", raw.single_line(body), event_id, _account(head.account_uuid, stream))


def _format(name: str, write: Write, event: OutgoingEvent, stream: StreamMetadata, original: str) -> FormattedEvent:
    found = bodies.parse(stream.api, original)
    event_id, account = metadata.event_id(stream.api, found.activity), _account(found.account_uuid, stream)
    document = write(EncoderInput(event, stream, original, event_id, account), found)
    return FormattedEvent(event, stream, name, document, event_id, account)


def _account(account: object, stream: StreamMetadata) -> str | None:
    """Return the event's own account, or its source's if it names none."""
    if isinstance(account, str) and 0 < len(account) <= UUID_MAX and account.isprintable():
        return account
    return stream.account


_SIGN_IN = Api.SIGN_IN  # Python 3.11 looks a member up in Python each time
_WRITERS: Mapping[str, Mapping[Api, Write]] = {
    "ecs": {Api.SIGN_IN: ecs.sign_in, Api.ITEM_USAGE: ecs.item_usage, Api.AUDIT: ecs.audit},
    "ocsf": {Api.SIGN_IN: sign_in.document, Api.ITEM_USAGE: item_usage.document, Api.AUDIT: audit.document},
}
