"""A sign-in attempt in OCSF: Authentication, with its status and its user."""

from __future__ import annotations

import pytest
from support.formats import TIME, UUID, formatted
from support.ocsf_documents import ANA, ANA_OF_OCSF, CLIENT, PLACE, PLACE_OF_OCSF, problems

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import SIGN_IN_TYPES
from blocks.siem.formats import sign_in_outcome
from blocks.siem.formats.ocsf import sign_in


def test_every_category_of_a_sign_in_has_a_status() -> None:
    assert {sign_in.STATUS[sign_in_outcome.classify(category)] for category in SIGN_IN_TYPES} == {
        (1, "Success"),
        (2, "Failure"),
    }


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


def test_what_a_rule_has_hidden_keeps_a_place() -> None:
    hidden = {"target_user": {"email": "h:0123abcd"}, "client": {"ip_address": "h:4567"}}
    found = formatted("ocsf", Api.SIGN_IN, hidden)
    assert found["user"] == {"name": "h:0123abcd"}
    assert found["src_endpoint"] == {"name": "h:4567"}
    assert not [*problems(found)]


def test_of_an_object_the_members_that_fit_are_kept() -> None:
    client = {"os_name": 7, "ip_address": "192.0.2.9"}
    assert formatted("ocsf", Api.SIGN_IN, {"client": client})["src_endpoint"] == {"ip": "192.0.2.9"}


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "1" * 41])
def test_an_address_with_a_zone_is_a_name(ip: str) -> None:
    found = formatted("ocsf", Api.SIGN_IN, {"client": {"ip_address": ip}})
    assert found["src_endpoint"] == {"name": ip}


def test_a_sign_in_attempt_without_members_has_an_unknown_user_and_nothing_else() -> None:
    names = ("user", "actor", "src_endpoint", "device", "session", "is_mfa", "status_detail", "status_code", "unmapped")
    found = formatted("ocsf", Api.SIGN_IN, {})
    assert {name: found[name] for name in names if name in found} == {"user": {"name": "Unknown"}}
    empty = formatted("ocsf", Api.SIGN_IN, {"session_uuid": "", "type": "", "category": ""})
    assert {name: empty[name] for name in names if name in empty} == {"user": {"name": "Unknown"}}


def test_only_a_second_factor_that_was_accepted_is_one() -> None:
    assert "is_mfa" not in formatted("ocsf", Api.SIGN_IN, {"type": "credentials_ok"})


def test_a_place_with_an_address_is_mapped() -> None:
    found = formatted("ocsf", Api.SIGN_IN, {"client": {"ip_address": "192.0.2.9"}, "location": PLACE})
    assert "unmapped" not in found
