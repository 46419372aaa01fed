"""An audit event, in the class that its object belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.formats.body import NO_PERSON, NO_SESSION
from blocks.siem.formats.ocsf import objects
from blocks.siem.formats.ocsf.activity import OTHER, UNKNOWN, OcsfClass
from blocks.siem.formats.ocsf.audit_table import find_activity
from blocks.siem.formats.ocsf.event import ClassFields, encode
from blocks.siem.formats.ocsf.objects import unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.siem.formats.body import Audit, Session
    from blocks.siem.formats.event import EncoderInput

MEMBERSHIPS = {"R": "member", "A": "manager"}
"""The meaning of `aux_info` for a group's member."""
ENTITY_TYPES = {"account": (4, "Organization"), "device": (1, "Device"), "user": (2, "User"), "group": (3, "Group")}
"""OCSF's types of entities by object type. All others are Other, with 1Password's own word."""


def document(encoder_input: EncoderInput, body: Audit) -> bytes:
    session = body.session or NO_SESSION
    activity = find_activity(body.object_type, body.action)
    parts = _CLASS_FIELDS[activity.ocsf_class](body)
    parts.actor = _actor(body, session)
    parts.src_endpoint = objects.endpoint(session.ip, body.location)
    if session.device_uuid:
        parts.device = objects.OcsfDevice(UNKNOWN, objects.UNKNOWN_NAME, session.device_uuid)
    parts.unmapped = unmapped(
        action=body.action,
        object_type=body.object_type,
        object_uuid=body.object_uuid,
        object_details=body.object_details,
        aux_id=body.aux_id,
        aux_uuid=body.aux_uuid,
        aux_details=body.aux_details,
        aux_info=body.aux_info,
        location=None if parts.src_endpoint else body.location,
    )
    return encode(encoder_input, activity, body.action, parts)


def _actor(body: Audit, session: Session) -> objects.OcsfActor | None:
    details = body.actor_details or NO_PERSON
    person = objects.user(details, body.actor_uuid, body.actor_account_uuid, body.actor_type)
    signed_in = objects.session(session)
    return objects.OcsfActor(person, None, signed_in) if person or signed_in else None


def _account(body: Audit) -> ClassFields:
    person = objects.user(body.object_details or NO_PERSON, body.object_uuid, None, None)
    return ClassFields(user=person or objects.UNKNOWN_USER)


def _access(body: Audit) -> ClassFields:
    return ClassFields(
        user=_aux_user(body) or objects.UNKNOWN_USER, privileges=_privileges(body), resource=_vault(body)
    )


def _group(body: Audit) -> ClassFields:
    """Return the fields of a group's access to a vault, of a membership, or of a group itself."""
    if body.object_type == "gva":
        group = objects.reference(body.aux_uuid, body.aux_name)
        return ClassFields(group=group, privileges=_privileges(body), resource=_vault(body))
    group = objects.reference(body.object_uuid, body.object_name)
    if body.object_type == "gm":
        role = body.aux_info
        return ClassFields(
            group=group, user=_aux_user(body), privileges=[MEMBERSHIPS.get(role, role)] if role else None
        )
    return ClassFields(group=group)


def _entity(body: Audit) -> ClassFields:
    kind, uid = body.object_type, body.object_uuid or None
    type_id, caption = ENTITY_TYPES.get(kind, (OTHER, kind)) if kind else (UNKNOWN, "Unknown")
    name = body.object_name or (None if uid else objects.UNKNOWN_NAME)
    return ClassFields(entity=objects.OcsfEntity(type_id, caption, uid, name))


def _aux_user(body: Audit) -> objects.OcsfUser | None:
    return objects.user(body.aux_details or NO_PERSON, body.aux_uuid, None, None)


def _privileges(body: Audit) -> list[str]:
    """Return 1Password's own text: OCSF has no names for these privileges."""
    return [body.aux_info or "vault access"]


def _vault(body: Audit) -> objects.OcsfReference | None:
    return objects.OcsfReference(body.object_uuid, body.object_name, "Vault") if body.object_uuid else None


_CLASS_FIELDS: dict[OcsfClass, Callable[[Audit], ClassFields]] = {
    OcsfClass.ACCOUNT_CHANGE: _account,
    OcsfClass.USER_ACCESS: _access,
    OcsfClass.GROUP_MANAGEMENT: _group,
    OcsfClass.ENTITY_MANAGEMENT: _entity,
}
