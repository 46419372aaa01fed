"""An audit event in OCSF: its class, its actor, and what it is about."""

from __future__ import annotations

import pytest
from support.formats import formatted
from support.ocsf_documents import ANA_OF_OCSF, AUDIT, PLACE_OF_OCSF, problems

from blocks.events_api.models import Api


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


BO = {"uid": "MEMBER", "name": "bo@example.org", "full_name": "Bo Test", "email_addr": "bo@example.org"}


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


def test_what_ocsf_has_no_place_for_is_unmapped() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    names = ("action", "object_type", "object_uuid", "aux_id", "aux_uuid", "aux_details", "aux_info")
    assert found["unmapped"] == {name: AUDIT[name] for name in names}


@pytest.mark.parametrize("kind", ["user", "uva", "gva", "gm", "group", "vault"])
def test_an_audit_event_without_details_is_valid(kind: str) -> None:
    assert not [*problems(formatted("ocsf", Api.AUDIT, {"object_type": kind, "action": "create"}))]
