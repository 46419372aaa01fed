"""An audit event, in the class that its object belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.siem.ocsf import objects
from blocks.siem.ocsf.activity import OTHER, UNKNOWN, OcsfClass
from blocks.siem.ocsf.audit_table import activity_of
from blocks.siem.ocsf.event import event
from blocks.siem.parts import inner, text, without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blocks.siem.draft import Draft

MEMBERSHIPS = {"R": "member", "A": "manager"}
"""What `aux_info` says of a group's member."""
ENTITY_TYPES = {"account": (4, "Organization"), "device": (1, "Device"), "user": (2, "User"), "group": (3, "Group")}
"""OCSF's own types of entities, by object type; all others are Other, by 1Password's own word."""

_MAPPED = frozenset(
    {
        *("uuid", "timestamp", "account_uuid", "actor_uuid", "actor_details", "actor_type", "actor_account_uuid"),
        *("session", "location"),
    }
)


def document(draft: Draft) -> bytes:
    body = draft.members
    session, action = inner(body, "session"), text(body, "action")
    activity = activity_of(body.get("object_type"), action)
    source = objects.endpoint(text(session, "ip"), inner(body, "location"))
    parts: dict[str, Any] = {
        **_WHAT[activity.ocsf_class](body),
        "actor": _actor(body, session),
        "src_endpoint": source,
        "device": _device(session),
    }
    return event(draft, activity, action, parts, _MAPPED if source else _MAPPED - {"location"})


def _actor(body: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any] | None:
    person = objects.user(
        inner(body, "actor_details"),
        text(body, "actor_uuid"),
        text(body, "actor_account_uuid"),
        text(body, "actor_type"),
    )
    return without_none({"user": person, "session": objects.session(session)}) or None


def _device(session: Mapping[str, Any]) -> dict[str, Any] | None:
    uid = text(session, "device_uuid")
    return {"type_id": UNKNOWN, "type": "Unknown", "uid": uid} if uid else None


def _account(body: Mapping[str, Any]) -> dict[str, Any]:
    person = objects.user(inner(body, "object_details"), text(body, "object_uuid"), None, None)
    return {"user": person or objects.NAMELESS}


def _access(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": _aux_user(body) or objects.NAMELESS,
        "privileges": _privileges(body),
        "resource": _vault(body),
    }


def _group(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of a membership, of a group itself, and of a group's access to a vault."""
    kind = body.get("object_type")
    if kind == "gva":
        return {"group": _uid(body, "aux_uuid"), "privileges": _privileges(body), "resource": _vault(body)}
    if kind == "gm":
        told = text(body, "aux_info")
        role = [MEMBERSHIPS.get(told, told)] if told else None
        return {"group": _uid(body, "object_uuid"), "user": _aux_user(body), "privileges": role}
    return {"group": _uid(body, "object_uuid")}


def _entity(body: Mapping[str, Any]) -> dict[str, Any]:
    kind = text(body, "object_type")
    known = ENTITY_TYPES.get(kind, (OTHER, kind)) if kind else (UNKNOWN, "Unknown")
    return {"entity": {**_uid(body, "object_uuid"), "type_id": known[0], "type": known[1]}}


def _aux_user(body: Mapping[str, Any]) -> dict[str, Any] | None:
    return objects.user(inner(body, "aux_details"), text(body, "aux_uuid"), None, None)


def _privileges(body: Mapping[str, Any]) -> list[str]:
    """1Password's own text, which OCSF has no names for."""
    return [text(body, "aux_info") or "vault access"]


def _vault(body: Mapping[str, Any]) -> dict[str, Any] | None:
    uid = text(body, "object_uuid")
    return {"uid": uid, "type": "Vault"} if uid else None


def _uid(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    uid = text(body, name)
    return {"uid": uid} if uid else dict(objects.NAMELESS)


_WHAT: dict[OcsfClass, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    OcsfClass.ACCOUNT_CHANGE: _account,
    OcsfClass.USER_ACCESS: _access,
    OcsfClass.GROUP_MANAGEMENT: _group,
    OcsfClass.ENTITY_MANAGEMENT: _entity,
}
