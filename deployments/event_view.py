"""The parts of an event that people look for: who did what, from where, and to which item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from blocks.store.source_status import StoredEvent


class EventView(msgspec.Struct):
    """An event's action, actor and place. A part that its body does not have is None."""

    action: str | None
    type: str | None
    actor: str | None
    actor_names: tuple[str, ...]
    ip_address: str | None
    country: str | None
    item: str | None
    vault: str | None

    @classmethod
    def from_event(cls, event: StoredEvent) -> EventView:
        body = _body(event.body)
        person = _object_member(body, {"sign-in": "target_user", "itemUsage": "user"}.get(event.api, "actor_details"))
        place = (
            _object_member(body, "session").get("ip")
            if event.api == "audit"
            else _object_member(body, "client").get("ip_address")
        )
        names = (person.get("email"), person.get("name"), person.get("uuid"), body.get("actor_uuid"))
        known = tuple(str(name) for name in map(_text, names) if name)
        return cls(
            action=_text(body.get("category" if event.api == "sign-in" else "action")),
            type=_text(body.get("object_type" if event.api == "audit" else "type")),
            actor=known[0] if known else None,
            actor_names=known,
            ip_address=_text(place),
            country=_text(_object_member(body, "location").get("country") or body.get("country")),
            item=_text(body.get("item_uuid") or _object(body, "item")),
            vault=_text(body.get("vault_uuid") or _object(body, "vault")),
        )


def _object(body: dict[str, Any], kind: str) -> object:
    """The uuid of an audit event's object, if it is of that kind."""
    return body.get("object_uuid") if body.get("object_type") == kind else None


def _body(body: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except ValueError:  # a lone surrogate, which msgspec rejects
        value = json.loads(body)
    return value if isinstance(value, dict) else {}


def _object_member(body: dict[str, Any], member: str) -> dict[str, Any]:
    part = body.get(member)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value).encode(errors="replace").decode()
