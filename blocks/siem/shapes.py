"""The shapes that an event may have: raw, ECS, OCSF."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from blocks.events_api.models import UUID_MAX, Api
from blocks.siem import json_text, metadata, raw
from blocks.siem.draft import Draft
from blocks.siem.event import Shaped
from blocks.siem.parts import shallow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blocks.siem.event import Outgoing, Stamp

    Write = Callable[[Draft], bytes]


def shape(shape_name: str, event: Outgoing, stamp: Stamp, body: bytes | None = None) -> Shaped:
    """An event in one of the shapes.

    `body` is what the privacy rules left of it; without one it is the event's own. Raises KeyError where there is no
    such shape, and nothing for any body.
    """
    return _SHAPERS[shape_name](event, stamp, event.body.encode() if body is None else body)


def _raw(event: Outgoing, stamp: Stamp, body: bytes) -> Shaped:
    head = raw.head(body)
    word = head.category if stamp.api is Api.SIGN_IN else head.action
    event_id = metadata.id_of(stamp.api, word)
    return Shaped(event, stamp, "raw", raw.document(body), event_id, _account(head.account_uuid, stamp))


def _ecs(event: Outgoing, stamp: Stamp, body: bytes) -> Shaped:
    from blocks.siem import ecs  # noqa: PLC0415 - a shape is loaded where it is chosen

    return _written("ecs", ecs.document, _draft(event, stamp, body))


def _ocsf(event: Outgoing, stamp: Stamp, body: bytes) -> Shaped:
    from blocks.siem.ocsf import audit, item_usage, sign_in  # noqa: PLC0415

    writers: Mapping[Api, Write] = {
        Api.SIGN_IN: sign_in.document,
        Api.ITEM_USAGE: item_usage.document,
        Api.AUDIT: audit.document,
    }
    return _written("ocsf", writers[stamp.api], _draft(event, stamp, body))


def _draft(event: Outgoing, stamp: Stamp, body: bytes) -> Draft:
    members = json_text.members(body)
    event_id = metadata.event_id(stamp.api, members)
    return Draft(event, stamp, body, members, event_id, _account(members.get("account_uuid"), stamp))


def _written(name: str, write: Write, draft: Draft) -> Shaped:
    try:
        document = write(draft)
    except RecursionError:
        document = write(replace(draft, members=shallow(draft.members)))
    return Shaped(draft.event, draft.stamp, name, document, draft.event_id, draft.account)


def _account(told: object, stamp: Stamp) -> str | None:
    """The event's own account where it names one, else its source's."""
    if isinstance(told, str) and 0 < len(told) <= UUID_MAX and told.isprintable():
        return told
    return stamp.account


_SHAPERS: dict[str, Callable[[Outgoing, Stamp, bytes], Shaped]] = {"raw": _raw, "ecs": _ecs, "ocsf": _ocsf}
