"""The format OCSF: each document against the published schema, and each documented value against the tables."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from support.formats import ALL, RECEIVED, RECEIVED_NS, TIME, TIME_NS, UUID, event, formatted, made, stream

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import AUDIT_ACTIONS, EVENTS, ITEM_ACTIONS, SIGN_IN_TYPES
from blocks.siem.formats import registry, sign_in_outcome
from blocks.siem.formats.ocsf import audit_table, item_usage, sign_in
from blocks.siem.formats.ocsf.activity import OTHER, OcsfClass
from blocks.siem.formats.ocsf.event import OCSF_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = "1.8.0"  # the newest that the schema package has
ACTIONS = sorted({action for actions in AUDIT_ACTIONS.values() for action in actions.split()})
PAIRS = [(kind, action) for kind, actions in AUDIT_ACTIONS.items() for action in actions.split()]


@cache
def schema(version: str) -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version))


@cache
def validator(version: str, class_uid: int) -> Draft202012Validator:
    of = schema(version)
    return Draft202012Validator(of.get_class_schema(of.lookup_class_name_from_uid(class_uid), profiles=["host"]))


def problems(found: dict[str, Any], version: str = OCSF_VERSION) -> Iterator[str]:
    """What the schema says against a document. It allows no member that it does not know."""
    for error in validator(version, found["class_uid"]).iter_errors(found):
        yield f"{error.json_path}: {error.message}"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_every_event_of_the_sandbox_is_valid(api: Api, version: str) -> None:
    for number in range(ALL[api]):
        found = json.loads(registry.format_event("ocsf", made(api, number, version), stream(api)).document)
        assert not [*problems(found)], (number, found)
        assert not [*problems(found, LATER)], (number, found)


def test_the_schema_would_tell() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    assert [*problems(found | {"surprise": 1})]
    assert [*problems(found | {"activity_id": 42})]
    assert [*problems({name: value for name, value in found.items() if name != "user"} | {"class_uid": 3001})]


@pytest.mark.parametrize("api", Api)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_event_is_valid(api: Api, data: st.DataObject) -> None:
    """Members of any type, and texts that are no address, no e-mail address, no time."""
    value = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=1)
    names = ("uuid", "name", "email", "ip", "ip_address", "os_name", "login_time", "country", "latitude", "longitude")
    part = st.dictionaries(st.sampled_from((*names, "platform_name", "user_type")), value, max_size=5)
    word = st.sampled_from(["join", "create", "grant", "user", "gm", "gva", "uva", "vault", "success", "fill"])
    drawn = st.dictionaries(st.sampled_from(sorted(EVENTS[api.path])), value | part | word, max_size=12)
    found = formatted("ocsf", api, data.draw(drawn), account=data.draw(st.none() | st.just("ACCOUNT")))
    assert not [*problems(found)]


# Tables


def test_every_documented_object_type_has_a_class() -> None:
    assert set(audit_table.CLASSES) == set(AUDIT_ACTIONS)


def test_every_documented_action_is_decided_for_an_entity() -> None:
    listed = [action for _, _, actions in audit_table.TABLE[OcsfClass.ENTITY_MANAGEMENT] for action in actions.split()]
    assert sorted(listed) == ACTIONS


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_every_documented_pair_is_decided_once(ocsf_class: OcsfClass) -> None:
    listed = [action for _, _, actions in audit_table.TABLE[ocsf_class] for action in actions.split()]
    assert len(listed) == len(set(listed))
    documented = {action for kind, action in PAIRS if audit_table.CLASSES[kind] is ocsf_class}
    assert documented <= set(listed)


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_the_table_has_the_numbers_and_captions_of_the_schema(ocsf_class: OcsfClass) -> None:
    published = get_ocsf_schema(OCSF_VERSION)["classes"]
    names = {one["uid"]: one for one in published.values()}
    activities = names[ocsf_class]["attributes"]["activity_id"]["enum"]
    assert names[ocsf_class]["caption"] == ocsf_class.caption
    for uid, caption, _ in audit_table.TABLE[ocsf_class]:
        assert activities[str(uid)]["caption"] == caption


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_the_table_is_documented(ocsf_class: OcsfClass) -> None:
    page = Path("docs/siem/formats.md").read_text()
    for uid, caption, actions in audit_table.TABLE[ocsf_class]:
        assert f"| {int(ocsf_class)} | {uid} {caption} | {actions} |" in page


def test_every_action_of_an_item_usage_is_decided() -> None:
    assert set(item_usage.ACTIVITIES) == set(ITEM_ACTIONS)


def test_every_category_of_a_sign_in_has_a_status() -> None:
    assert {sign_in.STATUS[sign_in_outcome.classify(category)] for category in SIGN_IN_TYPES} == {
        (1, "Success"),
        (2, "Failure"),
    }


@pytest.mark.parametrize(
    ("kind", "action", "type_uid", "name"),
    [
        ("user", "create", 300101, "Create"),
        ("user", "reactive", 300102, "Enable"),
        ("user", "changemp", 300103, "Password Change"),
        ("user", "suspend", 300105, "Disable"),
        ("user", "delete", 300106, "Delete"),
        ("user", "enblmfa", 300110, "MFA Factor Enable"),
        ("user", "disblmfa", 300111, "MFA Factor Disable"),
        ("user", "trvlaway", 300199, "trvlaway"),
        ("uva", "grant", 300501, "Assign Privileges"),
        ("uva", "revoke", 300502, "Revoke Privileges"),
        ("uva", "update", 300599, "update"),
        ("gva", "grant", 300601, "Assign Privileges"),
        ("gva", "revoke", 300602, "Revoke Privileges"),
        ("gva", "update", 300699, "update"),
        ("gm", "join", 300603, "Add User"),
        ("gm", "leave", 300604, "Remove User"),
        ("gm", "role", 300601, "Assign Privileges"),
        ("group", "create", 300606, "Create"),
        ("group", "delete", 300605, "Delete"),
        ("group", "changenm", 300699, "changenm"),
        ("vault", "create", 300401, "Create"),
        ("vault", "export", 300402, "Read"),
        ("account", "updatfw", 300403, "Update"),
        ("device", "dealldev", 300404, "Delete"),
        ("satoken", "trevoke", 300409, "Disable"),
        ("invite", "expire", 300411, "Deactivate"),
        ("sa", "suspend", 300412, "Suspend"),
        ("vaultkey", "unknown", 300499, "unknown"),
        # a pair that is not documented, of a type and an action that are
        ("gm", "export", 300699, "export"),
        ("uva", "view", 300599, "view"),
        ("card", "delete", 300404, "Delete"),
        # what is not documented at all
        ("user", "teleport", 300499, "teleport"),
        ("spaceship", "create", 300499, "create"),
        (None, "create", 300499, "create"),
        ({"a": 1}, "create", 300499, "create"),
        ("user", None, 300400, "Unknown"),
        ("user", "", 300400, "Unknown"),
        ("user", 7, 300400, "Unknown"),
    ],
)
def test_what_an_audit_event_is(kind: object, action: object, type_uid: int, name: str) -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": kind, "action": action})
    assert (found["type_uid"], found["activity_name"]) == (type_uid, name)
    assert found["class_uid"] * 100 + found["activity_id"] == type_uid
    assert not [*problems(found)]
    kept = {"object_type": kind, "action": action}
    for member, value in kept.items():
        assert found["unmapped"].get(member) == (value if isinstance(value, str) else None)


@pytest.mark.parametrize("kind", AUDIT_ACTIONS)
def test_every_action_with_every_object_type_is_valid(kind: str) -> None:
    for action in ACTIONS:
        found = formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": kind, "action": action})
        assert found["class_uid"] == audit_table.CLASSES[kind]
        if found["activity_id"] == OTHER:
            assert found["activity_name"] == action
    assert not [*problems(found)]


@pytest.mark.parametrize(
    ("action", "type_uid", "name"),
    [
        ("fill", 300402, "Read"),
        ("server-create", 300401, "Create"),
        ("server-update", 300403, "Update"),
        ("share", 300499, "share"),
        ("other", 300499, "other"),
        ("teleport", 300499, "teleport"),
        (None, 300400, "Unknown"),
    ],
)
def test_what_an_item_usage_is(action: object, type_uid: int, name: str) -> None:
    found = formatted("ocsf", Api.ITEM_USAGE, ITEM | {"action": action})
    assert (found["type_uid"], found["activity_name"]) == (type_uid, name)
    assert not [*problems(found)]


@pytest.mark.parametrize(
    ("category", "status_id", "status"),
    [
        ("success", 1, "Success"),
        ("firewall_reported_success", 1, "Success"),
        ("mfa_failed", 2, "Failure"),
        ("passkey_failed", 2, "Failure"),
        ("postponed", 99, "postponed"),
        (None, 0, "Unknown"),
        (7, 0, "Unknown"),
    ],
)
def test_the_status_of_a_sign_in(category: object, status_id: int, status: str) -> None:
    found = formatted("ocsf", Api.SIGN_IN, SIGN_IN | {"category": category})
    assert (found["status_id"], found["status"]) == (status_id, status)
    assert found["type_uid"] == 300201
    assert not [*problems(found)]


# Members

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
SIGN_IN = {
    "uuid": UUID,
    "session_uuid": "SESSION",
    "timestamp": TIME,
    "category": "success",
    "type": "mfa_ok",
    "country": "NZ",
    "details": None,
    "target_user": ANA | {"user_type": "external_user", "user_account_uuid": "HOME"},
    "client": CLIENT,
    "location": PLACE,
    "account_uuid": "ACCOUNT",
}
ITEM = {
    "uuid": UUID,
    "used_version": 3,
    "vault_uuid": "vault",
    "item_uuid": "item",
    "action": "reveal",
    "user": ANA,
    "client": CLIENT,
}
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
BO = {"uid": "MEMBER", "name": "bo@example.org", "full_name": "Bo Test", "email_addr": "bo@example.org"}


def test_what_every_event_holds() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    tags = found["metadata"].pop("tags")
    assert found["time"] == TIME_NS // 1_000_000
    assert found["category_uid"] == 3
    assert found["severity_id"] == 1
    assert json.loads(found["raw_data"]) == AUDIT
    assert found["metadata"] == {
        "version": "1.5.0",
        "profiles": ["host"],
        "product": {"name": "1Password", "vendor_name": "1Password"},
        "uid": UUID,
        "event_code": "audit-join",
        "log_name": "auditevents",
        "log_provider": "1Password Events API",
        "original_time": TIME,
        "logged_time": RECEIVED_NS // 1_000_000,
        "tenant_uid": "ACCOUNT",
    }
    assert {tag["name"]: tag["value"] for tag in tags} == {
        "received": RECEIVED,
        "api": "audit",
        "_siemForward": "true",
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        "_siemEventID": "audit-join",
        "_source": "1Pass",
        "_sourceCategory": "sec/1password",
        "team": "blue",
    }


def test_a_sign_in_attempt() -> None:
    found = formatted("ocsf", Api.SIGN_IN, SIGN_IN)
    expected = {
        "status_code": "success",
        "status_detail": "mfa_ok",
        "is_mfa": True,
        "user": {**ANA_OF_OCSF, "account": {"uid": "HOME"}, "type_id": 99, "type": "external_user"},
        "service": {"name": "1Password"},
        "actor": {"app_name": "1Password for Mac"},
        "session": {"uid": "SESSION"},
        "src_endpoint": {"ip": "2001:db8::7", "location": PLACE_OF_OCSF},
        "device": {
            "type_id": 0,
            "type": "Unknown",
            "name": "Anas-MacBook",
            "ip": "2001:db8::7",
            "os": {"name": "MacOSX", "type_id": 300, "type": "macOS", "version": "15.5"},
        },
        "unmapped": {"country": "NZ", "client": {"app_version": "81112010"}},
    }
    assert {name: found[name] for name in expected} == expected


def test_an_item_usage() -> None:
    found = formatted("ocsf", Api.ITEM_USAGE, ITEM)
    assert found["entity"] == {
        "uid": "item",
        "type_id": 99,
        "type": "Item",
        "version": "3",
        "data": {"vault_uuid": "vault"},
    }
    assert found["actor"] == {"user": ANA_OF_OCSF, "app_name": "1Password for Mac"}
    assert found["src_endpoint"] == {"ip": "2001:db8::7"}
    assert found["metadata"]["tenant_uid"] == "SOURCEACCOUNT"


def test_a_membership() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    assert found["group"] == {"uid": "group"}
    assert found["user"] == BO
    assert found["privileges"] == ["manager"]
    assert found["actor"] == {
        "user": {**ANA_OF_OCSF, "account": {"uid": "HOME"}, "type_id": 1, "type": "User"},
        "session": {"uid": "SESSION", "created_time": 1_772_600_400_500},
    }
    assert found["src_endpoint"] == {"ip": "192.0.2.9", "location": PLACE_OF_OCSF}
    assert found["device"] == {"type_id": 0, "type": "Unknown", "uid": "device"}


def test_access_of_a_user() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": "uva", "action": "grant", "aux_info": "194"})
    assert found["user"] == BO
    assert found["privileges"] == ["194"]
    assert found["resource"] == {"uid": "group", "type": "Vault"}


def test_access_of_a_group() -> None:
    members = AUDIT | {"object_type": "gva", "action": "grant", "object_uuid": "vault", "aux_uuid": "group"}
    found = formatted("ocsf", Api.AUDIT, members | {"aux_info": None, "aux_details": None})
    assert found["group"] == {"uid": "group"}
    assert found["privileges"] == ["vault access"]
    assert found["resource"] == {"uid": "vault", "type": "Vault"}
    assert "user" not in found


def test_a_changed_account() -> None:
    details = {"object_uuid": "MEMBER", "object_details": AUDIT["aux_details"]}
    assert formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": "user", "action": "suspend"} | details)["user"] == BO


@pytest.mark.parametrize(
    ("kind", "type_id", "type_"),
    [("device", 1, "Device"), ("account", 4, "Organization"), ("vault", 99, "vault"), ("spaceship", 99, "spaceship")],
)
def test_an_entity(kind: str, type_id: int, type_: str) -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": kind, "action": "create"})
    assert found["entity"] == {"uid": "group", "type_id": type_id, "type": type_}


def test_what_a_rule_has_hidden_keeps_a_place() -> None:
    hidden = {"target_user": {"email": "h:0123abcd"}, "client": {"ip_address": "h:4567"}}
    found = formatted("ocsf", Api.SIGN_IN, hidden)
    assert found["user"] == {"name": "h:0123abcd"}
    assert found["src_endpoint"] == {"name": "h:4567"}
    assert not [*problems(found)]


def test_a_place_without_an_address_is_unmapped() -> None:
    assert formatted("ocsf", Api.SIGN_IN, {"location": PLACE})["unmapped"] == {"location": PLACE}


def test_what_ocsf_has_no_place_for_is_unmapped() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    names = ("action", "object_type", "object_uuid", "aux_id", "aux_uuid", "aux_details", "aux_info")
    assert found["unmapped"] == {name: AUDIT[name] for name in names}


def test_what_is_not_documented_is_in_the_raw_data_only() -> None:
    found = formatted("ocsf", Api.AUDIT, {"risk": {"score": 7}})
    assert "unmapped" not in found
    assert json.loads(found["raw_data"]) == {"risk": {"score": 7}}


def test_raw_data_is_the_body() -> None:
    body = '{"action": "join",\n "n": 1.50}'
    found = json.loads(registry.format_event("ocsf", event(body), stream(Api.AUDIT)).document)
    assert found["raw_data"] == body


@pytest.mark.parametrize("kind", ["user", "uva", "gva", "gm", "group", "vault"])
def test_an_audit_event_that_tells_nothing_is_valid(kind: str) -> None:
    assert not [*problems(formatted("ocsf", Api.AUDIT, {"object_type": kind, "action": "create"}))]


@pytest.mark.parametrize("api", Api)
def test_a_place_alone_is_kept(api: Api) -> None:
    found = formatted("ocsf", api, {"location": PLACE})
    assert found["unmapped"]["location"] == PLACE
    assert not [*problems(found)]


def test_of_an_object_the_members_that_fit_are_kept() -> None:
    client = {"os_name": 7, "ip_address": "192.0.2.9"}
    assert formatted("ocsf", Api.SIGN_IN, {"client": client})["src_endpoint"] == {"ip": "192.0.2.9"}


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "1" * 41])
def test_an_address_with_a_zone_is_a_name(ip: str) -> None:
    found = formatted("ocsf", Api.SIGN_IN, {"client": {"ip_address": ip}})
    assert found["src_endpoint"] == {"name": ip}
