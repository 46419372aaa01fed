"""An item usage: Entity Management of the item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.siem.ocsf import objects
from blocks.siem.ocsf.activity import OTHER, UNKNOWN, Activity, OcsfClass
from blocks.siem.ocsf.event import event
from blocks.siem.parts import inner, text, whole, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.siem.draft import Draft

TABLE = (
    (1, "Create", "server-create"),
    (2, "Read", "enter-item-edit-mode export fill reveal secure-copy select-sso-provider server-fetch"),
    (3, "Update", "server-update"),
    (OTHER, "Other", "other share"),
)
"""The number and the caption of each activity, and the actions that are it. Edit mode alone changes nothing yet."""

_ENTITY = OcsfClass.ENTITY_MANAGEMENT
ACTIVITIES = {action: Activity(_ENTITY, uid, name) for uid, name, actions in TABLE for action in actions.split()}
_ABSENT = Activity(_ENTITY, UNKNOWN, "Unknown")
_OTHER = Activity(_ENTITY, OTHER, "Other")
_MAPPED = frozenset(
    {"uuid", "timestamp", "action", "user", "client", "location", "account_uuid", "item_uuid", "vault_uuid"}
)


def document(draft: Draft) -> bytes:
    body = draft.members
    client, person = inner(body, "client"), inner(body, "user")
    ip, action = text(client, "ip_address"), text(body, "action")
    activity = ACTIVITIES.get(action, _OTHER) if action else _ABSENT
    source = objects.endpoint(ip, inner(body, "location"))
    parts: dict[str, Any] = {
        "entity": _item(body),
        "actor": _actor(person, text(client, "app_name")),
        "src_endpoint": source,
        "device": objects.device(client, ip),
    }
    return event(draft, activity, action, parts, _MAPPED if source else _MAPPED - {"location"})


def _item(body: Mapping[str, Any]) -> dict[str, Any]:
    vault, version = text(body, "vault_uuid"), whole(body, "used_version")
    uid = text(body, "item_uuid")
    return without_none(
        {
            **({"uid": uid} if uid else objects.NAMELESS),
            "type_id": OTHER,
            "type": "Item",
            "version": None if version is None else str(version),
            "data": {"vault_uuid": vault} if vault else None,
        }
    )


def _actor(person: Mapping[str, Any], app: str | None) -> dict[str, Any] | None:
    found = objects.user(person, None, text(person, "user_account_uuid"), text(person, "user_type"))
    return without_none({"user": found, "app_name": app}) or None
