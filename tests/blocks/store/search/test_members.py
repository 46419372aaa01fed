"""What an event is searched by, whatever its body holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.events_api.models import Api
from blocks.store.search.members import MEMBERS, VALUE_MAX, IndexedMembers, Person, normalized, read_members

ANA = {"uuid": "ANA", "name": "Ana Test", "email": "ana@example.org"}
CLIENT = {"app_name": "1Password CLI", "app_version": "2320001", "os_name": "Linux", "ip_address": "192.0.2.1"}


def test_a_sign_in_has_its_user_client_and_reason() -> None:
    body = {"category": "mfa_failed", "type": "totp_bad", "country": "NZ", "target_user": ANA, "client": CLIENT}
    assert read_members("sign-in", json.dumps(body)) == IndexedMembers(
        failed=True,
        user="ANA",
        action="mfa_failed",
        type="totp_bad",
        ip="192.0.2.1",
        country="NZ",
        client="1Password CLI",
        version="2320001",
        os="Linux",
        people=(("ANA", Person("Ana Test", "ana@example.org")),),
    )


@pytest.mark.parametrize(
    ("category", "failed"),
    [("success", False), ("firewall_reported_success", False), ("firewall_failed", True), ("new", True), (None, None)],
)
def test_everything_but_a_success_has_failed(category: str | None, failed: bool | None) -> None:
    assert read_members("sign-in", json.dumps({"category": category})).failed is failed


def test_an_item_usage_has_its_vault_and_item() -> None:
    body = {"action": "reveal", "vault_uuid": "v1", "item_uuid": "i1", "user": ANA, "client": CLIENT}
    members = read_members("itemUsage", json.dumps(body))
    assert (members.action, members.vault, members.item, members.user) == ("reveal", "v1", "i1", "ANA")
    assert (members.failed, members.type, members.object) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "vault", "item"),
    [("uva", "OBJ", None), ("gva", "OBJ", None), ("vault", "OBJ", None), ("item", None, "OBJ"), ("user", None, None)],
)
def test_an_audit_event_is_about_an_object(kind: str, vault: str | None, item: str | None) -> None:
    body = {
        "actor_uuid": "ANA",
        "action": "grant",
        "object_type": kind,
        "object_uuid": "OBJ",
        "aux_uuid": "BO",
        "aux_details": {"uuid": "BO", "name": "Bo"},
        "session": {"ip": "2001:db8::7"},
        "location": {"country": "NZ"},
    }
    members = read_members("audit", json.dumps(body))
    assert (members.vault, members.item, members.object, members.aux) == (vault, item, "OBJ", "BO")
    assert (members.user, members.ip, members.country, members.type) == ("ANA", "2001:db8::7", "NZ", kind)
    assert members.people == (("BO", Person("Bo", None)),)


@pytest.mark.parametrize(
    ("country", "location", "expected"),
    [("NZ", "New Zealand", "NZ"), ("France", "FR", "FR"), ("France", None, "France"), (None, "Canada", "Canada")],
)
def test_the_country_is_its_code_where_the_event_has_one(
    country: str | None, location: str | None, expected: str
) -> None:
    body = {"country": country, "location": {"country": location}}
    assert read_members("sign-in", json.dumps(body)).country == expected


def test_a_user_without_an_id_is_found_by_address() -> None:
    assert read_members("sign-in", '{"target_user": {"email": "ana@example.org"}}').user == "ana@example.org"


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "7", '"text"', "\ud800", b"\xff\xfe", "[" * 100_000, "{" * 9])
@pytest.mark.parametrize("api", list(Api))
def test_a_body_that_cannot_be_read_has_no_members(api: str, body: str | bytes) -> None:
    assert read_members(api, body) == IndexedMembers()


def test_a_lone_surrogate_or_a_nul_becomes_a_value_that_databases_store() -> None:
    members = read_members("itemUsage", r'{"item_uuid": "a\ud800b", "vault_uuid": "a\u0000b", "n": 1%s}' % ("0" * 5000))
    assert (members.item, members.vault) == ("a?b", "a�b")


def test_a_long_value_counts_with_its_first_characters() -> None:
    assert normalized("x" * 500) == "x" * VALUE_MAX
    assert [normalized(value) for value in (None, "", [], {}, True, 7, 1.5)] == [
        None,
        None,
        None,
        None,
        "True",
        "7",
        "1.5",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("category", "target_user", "client", "user", "actor_details", "session", "location", "object_type", "action")


@given(body=st.dictionaries(st.sampled_from(NAMES), JSON), api=st.sampled_from(list(Api)))
def test_any_json_is_read(body: dict[str, Any], api: str) -> None:
    members = read_members(api, json.dumps(body))
    for member in MEMBERS:
        value = getattr(members, member)
        assert value is None or (0 < len(value) <= VALUE_MAX and "\0" not in value and value.encode())
