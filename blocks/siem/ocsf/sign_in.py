"""A sign-in attempt: Authentication, Logon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.siem import outcome
from blocks.siem.ocsf import objects
from blocks.siem.ocsf.activity import OTHER, UNKNOWN, Activity, OcsfClass
from blocks.siem.ocsf.event import event
from blocks.siem.parts import inner, text

if TYPE_CHECKING:
    from blocks.siem.draft import Draft

LOGON = Activity(OcsfClass.AUTHENTICATION, 1, "Logon")
STATUS: dict[outcome.Outcome, tuple[int, str]] = {"success": (1, "Success"), "failure": (2, "Failure")}
"""`status_id` and `status`. An unknown category is Other, and is the status itself; an absent one is Unknown."""

_MAPPED = frozenset(
    {"uuid", "timestamp", "session_uuid", "category", "type", "target_user", "client", "location", "account_uuid"}
)
_SERVICE = {"name": "1Password"}


def document(draft: Draft) -> bytes:
    body = draft.members
    client, person = inner(body, "client"), inner(body, "target_user")
    ip, kind, app = text(client, "ip_address"), text(body, "type"), text(client, "app_name")
    found = objects.user(person, None, text(person, "user_account_uuid"), text(person, "user_type"))
    source = objects.endpoint(ip, inner(body, "location"))
    parts: dict[str, Any] = {
        **_status(text(body, "category")),
        "status_detail": kind,
        "is_mfa": True if kind == "mfa_ok" else None,
        "user": found or objects.NAMELESS,
        "service": _SERVICE,
        "actor": {"app_name": app} if app else None,
        "session": {"uid": uid} if (uid := text(body, "session_uuid")) else None,
        "src_endpoint": source,
        "device": objects.device(client, ip),
    }
    return event(draft, LOGON, None, parts, _MAPPED if source else _MAPPED - {"location"})


def _status(category: str | None) -> dict[str, Any]:
    if category is None:
        return {"status_id": UNKNOWN, "status": "Unknown"}
    status_id, status = STATUS.get(outcome.of(category), (OTHER, category))
    return {"status_id": status_id, "status": status, "status_code": category}
