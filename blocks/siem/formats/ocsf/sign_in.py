"""A sign-in attempt: Authentication, Logon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.siem.formats import sign_in_outcome
from blocks.siem.formats.body import NO_CLIENT, NO_PERSON
from blocks.siem.formats.ocsf import objects
from blocks.siem.formats.ocsf.activity import OTHER, UNKNOWN, Activity, OcsfClass
from blocks.siem.formats.ocsf.event import ClassFields, encode
from blocks.siem.formats.ocsf.objects import client_versions, unmapped

if TYPE_CHECKING:
    from blocks.siem.formats.body import SignIn
    from blocks.siem.formats.event import EncoderInput

LOGON = Activity(OcsfClass.AUTHENTICATION, 1, "Logon")
STATUS: dict[sign_in_outcome.SignInOutcome, tuple[int, str]] = {"success": (1, "Success"), "failure": (2, "Failure")}
"""`status_id` and `status`. An undocumented category is Other, with itself as the status; an absent one is Unknown."""

_SERVICE = objects.OcsfReference(name="1Password")


def document(encoder_input: EncoderInput, body: SignIn) -> bytes:
    person, client = body.target_user or NO_PERSON, body.client or NO_CLIENT
    source = objects.endpoint(client.ip_address, body.location, body.country)
    parts = ClassFields(
        user=objects.user(person, None, person.user_account_uuid, person.user_type) or objects.UNKNOWN_USER,
        actor=objects.OcsfActor(app_name=client.app_name) if client.app_name else None,
        src_endpoint=source,
        device=objects.device(client),
        service=_SERVICE,
        session=objects.OcsfSession(body.session_uuid) if body.session_uuid else None,
        is_mfa=True if body.type == "mfa_ok" else None,
        status_detail=body.type or None,
        unmapped=unmapped(
            country=body.country,
            details=body.details,
            client=client_versions(client),
            location=None if source else body.location,
        ),
    )
    parts.status_id, parts.status = _status(body.category)
    parts.status_code = body.category or None
    return encode(encoder_input, LOGON, None, parts)


def _status(category: str | None) -> tuple[int, str]:
    if not category:
        return UNKNOWN, "Unknown"
    return STATUS.get(sign_in_outcome.classify(category), (OTHER, category))
