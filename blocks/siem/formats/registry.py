"""The shapes that an event may have: raw, ECS, OCSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.events_api.models import UUID_MAX, Api
from blocks.siem.delivery import metadata
from blocks.siem.delivery.draft import Draft
from blocks.siem.delivery.event import Shaped
from blocks.siem.formats import body as bodies
from blocks.siem.formats import ecs, raw
from blocks.siem.formats.ocsf import audit, item_usage, sign_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blocks.siem.delivery.event import Outgoing, Stamp

    Write = Callable[[Draft, Any], bytes]


def shape(shape_name: str, event: Outgoing, stamp: Stamp, body: bytes | None = None) -> Shaped:
    """An event in one of the shapes.

    `body` is what the privacy rules left of it; without one it is the event's own. Raises KeyError where there is no
    such shape, and nothing for any body.
    """
    if shape_name == "raw":
        return _raw(event, stamp, event.body.encode() if body is None else body)
    original = event.body if body is None else body.decode(errors="replace")
    return _written(shape_name, _WRITERS[shape_name][stamp.api], event, stamp, original)


def _raw(event: Outgoing, stamp: Stamp, body: bytes) -> Shaped:
    head = raw.head(body)
    word = head.category if stamp.api is Api.SIGN_IN else head.action
    event_id = metadata.id_of(stamp.api, word)
    return Shaped(event, stamp, "raw", raw.document(body), event_id, _account(head.account_uuid, stamp))


def _written(name: str, write: Write, event: Outgoing, stamp: Stamp, original: str) -> Shaped:
    found = bodies.read(stamp.api, original)
    event_id, account = metadata.id_of(stamp.api, found.word), _account(found.account_uuid, stamp)
    document = write(Draft(event, stamp, original, event_id, account), found)
    return Shaped(event, stamp, name, document, event_id, account)


def _account(told: object, stamp: Stamp) -> str | None:
    """The event's own account where it names one, else its source's."""
    if isinstance(told, str) and 0 < len(told) <= UUID_MAX and told.isprintable():
        return told
    return stamp.account


_WRITERS: Mapping[str, Mapping[Api, Write]] = {
    "ecs": {Api.SIGN_IN: ecs.sign_in, Api.ITEM_USAGE: ecs.item_usage, Api.AUDIT: ecs.audit},
    "ocsf": {Api.SIGN_IN: sign_in.document, Api.ITEM_USAGE: item_usage.document, Api.AUDIT: audit.document},
}
