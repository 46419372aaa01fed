"""OCSF's published schema, and events with all of their members."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from support.formats import UUID

from blocks.siem.formats.ocsf.event import OCSF_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def schema(version: str) -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version))


@cache
def validator(version: str, class_uid: int) -> Draft202012Validator:
    of = schema(version)
    return Draft202012Validator(of.get_class_schema(of.lookup_class_name_from_uid(class_uid), profiles=["host"]))


def problems(found: dict[str, Any], version: str = OCSF_VERSION) -> Iterator[str]:
    """The violations of the schema in a document. A member that the schema does not have is one."""
    for error in validator(version, found["class_uid"]).iter_errors(found):
        yield f"{error.json_path}: {error.message}"


ANA = {"uuid": "USER", "name": "Ana Test", "email": "ana@example.org"}
ANA_OF_OCSF = {"uid": "USER", "name": "ana@example.org", "full_name": "Ana Test", "email_addr": "ana@example.org"}
CLIENT = {
    "app_name": "1Password for Mac",
    "app_version": "81112010",
    "platform_name": "Anas-MacBook",
    "os_name": "MacOSX",
    "os_version": "15.5",
    "ip_address": "2001:db8::7",
}
PLACE = {"country": "NZ", "region": "Otago", "city": "Dunedin", "latitude": -45.87, "longitude": 170.5}
PLACE_OF_OCSF = {"country": "NZ", "region": "Otago", "city": "Dunedin", "lat": -45.87, "long": 170.5}

AUDIT = {
    "uuid": UUID,
    "actor_uuid": "USER",
    "actor_details": ANA,
    "actor_type": "user",
    "actor_account_uuid": "HOME",
    "account_uuid": "ACCOUNT",
    "action": "join",
    "object_type": "gm",
    "object_uuid": "group",
    "aux_id": 41,
    "aux_uuid": "MEMBER",
    "aux_details": {"uuid": "MEMBER", "name": "Bo Test", "email": "bo@example.org"},
    "aux_info": "A",
    "session": {"uuid": "SESSION", "login_time": "2026-03-04T05:00:00.5Z", "device_uuid": "device", "ip": "192.0.2.9"},
    "location": PLACE,
}
