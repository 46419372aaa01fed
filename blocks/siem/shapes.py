"""The shapes that an event may have: raw, ECS, OCSF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.events_api.models import UUID_MAX, Api
from blocks.siem import metadata, raw
from blocks.siem.event import Shaped

if TYPE_CHECKING:
    from blocks.siem.event import Outgoing, Stamp


def shape(shape_name: str, event: Outgoing, stamp: Stamp, body: bytes | None = None) -> Shaped:
    """An event in one of the shapes.

    `body` is what the privacy rules left of it; without one it is the event's own. Raises KeyError where there is no
    such shape, and nothing for any body.
    """
    return _SHAPERS[shape_name](event, stamp, event.body.encode() if body is None else body)


def _raw(event: Outgoing, stamp: Stamp, body: bytes) -> Shaped:
    head = raw.head(body)
    word = head.category if stamp.api is Api.SIGN_IN else head.action
    account = account_of(head.account_uuid, stamp)
    return Shaped(event, stamp, "raw", raw.document(body), metadata.id_of(stamp.api, word), account)


def account_of(value: object, stamp: Stamp) -> str | None:
    """The event's own account where it names one, else its source's."""
    if isinstance(value, str) and 0 < len(value) <= UUID_MAX and value.isprintable():
        return value
    return stamp.account


_SHAPERS = {"raw": _raw}
