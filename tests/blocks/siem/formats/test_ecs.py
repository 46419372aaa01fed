"""The format ECS, member by member."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.formats import ALL, RECEIVED, TIME, UUID, event, formatted, made, stream

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS, SIGN_IN_TYPES
from blocks.siem.elasticsearch.block import Elasticsearch
from blocks.siem.formats import ecs, registry, sign_in_outcome
from blocks.siem.formats.undocumented import MEMBERS_MAX

SIGN_IN = {
    "uuid": UUID,
    "session_uuid": "SESSION",
    "timestamp": TIME,
    "category": "firewall_failed",
    "type": "country_blocked",
    "country": "NZ",
    "details": {"value": "NZ"},
    "target_user": {
        "uuid": "USER",
        "name": "Ana Test",
        "email": "ana@example.org",
        "user_type": "external_user",
        "user_account_uuid": "HOME",
    },
    "client": {
        "app_name": "1Password for Web",
        "app_version": "2001",
        "platform_name": "Firefox",
        "platform_version": "140.0",
        "os_name": "Linux",
        "os_version": "6.9",
        "ip_address": "2001:db8::7",
    },
    "location": {"country": "NZ", "region": "Otago", "city": "Dunedin", "latitude": -45.87, "longitude": 170.5},
    "account_uuid": "ACCOUNT",
}
ITEM = {
    "uuid": UUID,
    "timestamp": TIME,
    "used_version": 0,
    "vault_uuid": "vault",
    "item_uuid": "item",
    "action": "reveal",
    "user": {"uuid": "USER", "name": "Ana Test", "email": "ana@example.org"},
    "client": SIGN_IN["client"],
}
AUDIT = {
    "uuid": UUID,
    "timestamp": TIME,
    "actor_uuid": "ACTOR",
    "actor_details": {"uuid": "ACTOR", "name": "Ana Test", "email": "ana@example.org"},
    "actor_type": "user",
    "actor_account_uuid": "HOME",
    "account_uuid": "ACCOUNT",
    "action": "join",
    "object_type": "gm",
    "object_uuid": "group",
    "aux_id": 41,
    "aux_uuid": "MEMBER",
    "aux_details": {"uuid": "MEMBER", "name": "Bo Test", "email": "bo@example.org"},
    "aux_info": "R",
    "session": {"uuid": "SESSION", "login_time": "2026-03-04T05:00:00.5Z", "device_uuid": "device", "ip": "192.0.2.9"},
    "location": {"country": "New Zealand"},
}


def own_members(found: dict[str, Any]) -> dict[str, Any]:
    """Without the original, and without what is the same for all."""
    same = {"ecs", "data_stream", "onepassword_source", "tags", "labels"}
    assert json.loads(found["event"].pop("original"))
    return {name: value for name, value in found.items() if name not in same}


def test_a_sign_in_attempt() -> None:
    assert own_members(formatted("ecs", Api.SIGN_IN, SIGN_IN)) == {
        "@timestamp": TIME,
        "event": {
            "kind": "event",
            "category": ["authentication"],
            "type": ["info"],
            "action": "firewall_failed",
            "outcome": "failure",
            "id": UUID,
            "created": RECEIVED,
            "module": "1password",
            "dataset": "1password.signin_attempts",
        },
        "user": {"id": "USER", "name": "Ana Test", "full_name": "Ana Test", "email": "ana@example.org"},
        "host": {"os": {"name": "Linux", "version": "6.9"}},
        "source": {
            "ip": "2001:db8::7",
            "geo": {
                "country_iso_code": "NZ",
                "region_name": "Otago",
                "city_name": "Dunedin",
                "location": {"lat": -45.87, "lon": 170.5},
            },
        },
        "related": {"user": ["USER", "ana@example.org", "Ana Test"], "ip": ["2001:db8::7"]},
        "organization": {"id": "ACCOUNT"},
        "onepassword": {
            "uuid": UUID,
            "session_uuid": "SESSION",
            "account_uuid": "ACCOUNT",
            "type": "country_blocked",
            "country": "NZ",
            "details": {"value": "NZ"},
            "user_type": "external_user",
            "user_account_uuid": "HOME",
            "client": {
                "app_name": "1Password for Web",
                "app_version": "2001",
                "platform_name": "Firefox",
                "platform_version": "140.0",
            },
        },
    }


def test_an_item_usage() -> None:
    found = own_members(formatted("ecs", Api.ITEM_USAGE, ITEM))
    assert found["event"] == {
        "kind": "event",
        "category": ["file"],
        "type": ["access"],
        "action": "reveal",
        "id": UUID,
        "created": RECEIVED,
        "module": "1password",
        "dataset": "1password.item_usages",
    }
    assert found["user"]["id"] == "USER"
    assert found["source"] == {"ip": "2001:db8::7"}
    assert found["organization"] == {"id": "SOURCEACCOUNT"}
    own = found["onepassword"]
    assert (own["used_version"], own["vault_uuid"], own["item_uuid"]) == (0, "vault", "item")


def test_an_audit_event() -> None:
    found = own_members(formatted("ecs", Api.AUDIT, AUDIT))
    assert found["event"]["category"] == ["configuration"]
    assert found["event"]["type"] == ["access"]
    assert found["event"]["action"] == "join"
    assert "outcome" not in found["event"]
    assert found["user"] == {"id": "ACTOR", "name": "Ana Test", "full_name": "Ana Test", "email": "ana@example.org"}
    assert found["source"] == {"ip": "192.0.2.9", "geo": {"country_name": "New Zealand"}}
    assert found["related"] == {"user": ["Ana Test", "ACTOR", "MEMBER"], "ip": ["192.0.2.9"]}
    assert found["onepassword"] == {
        **{name: AUDIT[name] for name in AUDIT if name.startswith(("object", "aux", "actor_type", "actor_account"))},
        "uuid": UUID,
        "account_uuid": "ACCOUNT",
        "actor_details": {"uuid": "ACTOR"},
        "session": {"uuid": "SESSION", "login_time": "2026-03-04T05:00:00.5Z", "device_uuid": "device"},
    }


@pytest.mark.parametrize(
    ("kind", "related"),
    [("user", "OBJECT"), ("gm", "AUX"), ("uva", "AUX"), ("device", "AUX"), ("gva", None), ("vault", None), (7, None)],
)
def test_whom_an_audit_event_is_about(kind: object, related: str | None) -> None:
    members = {"actor_uuid": "ACTOR", "object_type": kind, "object_uuid": "OBJECT", "aux_uuid": "AUX"}
    expected = ["ACTOR", related] if related else ["ACTOR"]
    assert formatted("ecs", Api.AUDIT, members)["related"]["user"] == expected


def test_metadata() -> None:
    found = formatted("ecs", Api.AUDIT, AUDIT, fields={"team": "blue", "tier": 3, "prod": True})
    assert found["ecs"] == {"version": "8.11.0"}
    assert found["data_stream"] == {"type": "logs", "dataset": "1password.audit_events", "namespace": "default"}
    assert found["tags"] == ["forwarded", "1password-audit_events"]
    assert found["labels"] == {"team": "blue", "tier": "3", "prod": "true"}
    assert found["onepassword_source"] == {
        "api": "audit",
        "siemForward": True,
        "siemVendor": "1Password",
        "siemProduct": "1Password",
        "siemFormat": "JSON",
        "siemEventID": "audit-join",
        "source": "1Pass",
        "sourceCategory": "sec/1password",
    }


def test_metadata_without_a_siem() -> None:
    found = formatted("ecs", Api.AUDIT, AUDIT, classifier=None, category=None, fields={})
    assert found["onepassword_source"] == {"api": "audit", "source": "1Pass"}
    assert "labels" not in found


@pytest.mark.parametrize("name", ["_id", "_index", "_source", "_routing", "_ignored", "_field_names"])
def test_no_member_has_a_name_that_elasticsearch_keeps_for_itself(name: str) -> None:
    found = formatted("ecs", Api.AUDIT, AUDIT, fields={name: "x"})
    assert not [member for member in found if member.startswith("_")]


def test_every_documented_category_has_an_outcome() -> None:
    assert set(sign_in_outcome.OUTCOMES) == set(SIGN_IN_TYPES)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("success", "success"),
        ("firewall_reported_success", "success"),
        ("mfa_failed", "failure"),
        ("passkey_failed", "failure"),
        ("postponed", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
def test_outcomes(category: object, expected: str) -> None:
    assert formatted("ecs", Api.SIGN_IN, {"category": category})["event"]["outcome"] == expected


def test_a_masked_address_is_no_ip() -> None:
    client = {"ip_address": "203.0.113.***"}
    found = formatted("ecs", Api.SIGN_IN, {"client": client})
    assert found["source"] == {"address": "203.0.113.***"}
    assert "related" not in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client", "text"),
        ("client", {"app_name": {"a": 1}, "os_name": 7, "ip_address": ["192.0.2.9"]}),
        ("target_user", {"uuid": 7, "name": None, "email": {}}),
        ("type", {"a": 1}),
        ("details", "text"),
        ("details", {"value": 7}),
        ("new.name", 1),
        ("", 1),
        (" new", 1),
        ("new", None),
        ("new", 2**63),
        ("new", -1e300),
        ("new", [1, "a"]),
        ("new", [[1], [2]]),
        ("new", [{"a": 1}, 2]),
        ("new", {"a": {"b": {"c": {"d": 1}}}}),
        ("client", {"new": {}}),
        ("location", {"latitude": 91, "longitude": 0}),
        ("location", {"latitude": True, "longitude": False}),
        ("location", {"latitude": 1.5}),
    ],
)
def test_what_elasticsearch_would_refuse_is_in_the_original_only(name: str, value: object) -> None:
    plain, found = formatted("ecs", Api.SIGN_IN, {}), formatted("ecs", Api.SIGN_IN, {name: value})
    assert json.loads(found["event"].pop("original")) == {name: value}
    plain["event"].pop("original")
    assert found == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [("aux_id", "41"), ("aux_id", 1.5), ("aux_id", 2**70), ("aux_id", True), ("session", {"login_time": "gone"})],
)
def test_numbers_and_times_are_numbers_and_times(name: str, value: object) -> None:
    assert formatted("ecs", Api.AUDIT, {name: value})["onepassword"] == {"uuid": UUID}


@pytest.mark.parametrize(
    "text", ["2026-03-04 05:00:00Z", "20260304T050000Z", "2026-03-04T05:00Z", "2026-02-30T05:00:00Z"]
)
def test_a_time_in_another_form_than_elasticsearchs_is_in_the_original_only(text: str) -> None:
    assert formatted("ecs", Api.AUDIT, {"session": {"login_time": text}})["onepassword"] == {"uuid": UUID}


@pytest.mark.parametrize("used", [2**31, 2**33, -(2**40), 2**70])
def test_a_version_beyond_elastics_integer_is_in_the_original_only(used: int) -> None:
    found = formatted("ecs", Api.ITEM_USAGE, {"used_version": used})
    assert found["onepassword"] == {"uuid": UUID}
    assert json.loads(found["event"]["original"]) == {"used_version": used}
    assert formatted("ecs", Api.ITEM_USAGE, {"used_version": 2**31 - 1})["onepassword"]["used_version"] == 2**31 - 1


def test_what_is_not_documented_is_under_onepassword_as_in_the_body() -> None:
    new = {"risk": {"score": 7, "of": [{"name": "x"}, {"name": "y"}]}, "is_new": False, "words": ["a", "b"], "n": 1.5}
    members = {**SIGN_IN, **new, "client": {**SIGN_IN["client"], "device": "d1"}}  # type: ignore[dict-item]
    members["target_user"] = {**SIGN_IN["target_user"], "department": "IT"}  # type: ignore[dict-item]
    own = formatted("ecs", Api.SIGN_IN, members)["onepassword"]
    assert {name: own[name] for name in new} == new
    assert own["client"] == {
        **{name: members["client"][name] for name in ("app_name", "app_version", "platform_name", "platform_version")},
        "device": "d1",
    }
    assert own["target_user"] == {"department": "IT"}
    assert own["session_uuid"] == "SESSION"


def test_an_event_with_too_many_new_members_uses_no_fields_of_the_index() -> None:
    new = {f"new_{number}": number for number in range(MEMBERS_MAX)}
    assert formatted("ecs", Api.AUDIT, new)["onepassword"] == {"uuid": UUID, **new}
    assert formatted("ecs", Api.AUDIT, {**new, "one_more": 1})["onepassword"] == {"uuid": UUID}


def test_what_the_rules_hid_is_not_under_onepassword() -> None:
    one = event('{"new": "secret", "action": "join"}')
    found = registry.format_event("ecs", one, stream(Api.AUDIT), b'{"new": "***", "action": "join"}').document
    assert json.loads(found)["onepassword"]["new"] == "***"
    assert b"secret" not in found


@pytest.mark.parametrize(
    ("index", "namespace"),
    [
        ("logs-1password.{dataset}-default", "default"),
        ("logs-1password.{dataset}-forwarded", "forwarded"),
        ("logs-1password-{api}", "auditevents"),
        ("1password-{dataset}", "default"),
        ("logs-1password.{dataset}", "default"),
    ],
)
def test_the_namespace_is_that_of_the_data_stream(index: str, namespace: str) -> None:
    block = Elasticsearch(url="https://127.0.0.1:9200", index=index)
    assert block.data_stream_namespace(Api.AUDIT) == namespace
    found = formatted("ecs", Api.AUDIT, AUDIT, namespace=namespace)
    assert found["data_stream"]["namespace"] == namespace


@pytest.mark.parametrize(
    ("country", "located", "geo"),
    [
        ("NZ", None, {"country_iso_code": "NZ"}),
        ("NZ", "New Zealand", {"country_iso_code": "NZ", "country_name": "New Zealand"}),
        ("NZ", "AU", {"country_iso_code": "AU"}),
        ("France", "France", {"country_name": "France"}),
        ("fr", None, None),
        ("F1", None, None),
    ],
)
def test_countries(country: str, located: str | None, geo: dict[str, str] | None) -> None:
    place = {"location": {"country": located}} if located else {}
    found = formatted("ecs", Api.SIGN_IN, {"country": country, **place})
    assert found.get("source") == (geo and {"geo": geo})
    assert found["onepassword"]["country"] == country


# Where each documented member goes; a member that is documented later is missed here, and this test fails.
GOES_TO: dict[Api, dict[str, str]] = {
    Api.SIGN_IN: {
        "uuid": "event.id",
        "timestamp": "@timestamp",
        "account_uuid": "organization.id",
        "session_uuid": "onepassword.session_uuid",
        "country": "onepassword.country",
        "category": "event.action",
        "type": "onepassword.type",
        "details": "onepassword.details",
        "target_user": "user.id",
        "client": "onepassword.client",
        "location": "source.geo",
    },
    Api.ITEM_USAGE: {
        "uuid": "event.id",
        "timestamp": "@timestamp",
        "account_uuid": "organization.id",
        "used_version": "onepassword.used_version",
        "vault_uuid": "onepassword.vault_uuid",
        "item_uuid": "onepassword.item_uuid",
        "action": "event.action",
        "user": "user.id",
        "client": "onepassword.client",
        "location": "source.geo",
    },
    Api.AUDIT: {
        "uuid": "event.id",
        "timestamp": "@timestamp",
        "account_uuid": "organization.id",
        "actor_uuid": "user.id",
        "actor_details": "user.email",
        "actor_type": "onepassword.actor_type",
        "actor_account_uuid": "onepassword.actor_account_uuid",
        "action": "event.action",
        "object_type": "onepassword.object_type",
        "object_uuid": "onepassword.object_uuid",
        "object_details": "onepassword.object_details",
        "aux_id": "onepassword.aux_id",
        "aux_uuid": "onepassword.aux_uuid",
        "aux_details": "onepassword.aux_details",
        "aux_info": "onepassword.aux_info",
        "session": "onepassword.session",
        "location": "source.geo",
    },
}
AT_THE_TOP_OF_ONE_VENDORS_TABLES = {"user_type", "user_account_uuid"}  # the API nests them; they stay in the original


@pytest.mark.parametrize("api", Api)
def test_every_documented_member_has_its_place(api: Api) -> None:
    assert set(GOES_TO[api]) == set(EVENTS[api.path]) - AT_THE_TOP_OF_ONE_VENDORS_TABLES
    seen = set()
    for number in range(ALL[api]):
        one = made(api, number, "v2")
        found = json.loads(registry.format_event("ecs", one, stream(api)).document)
        for name, value in json.loads(one.body).items():
            if value is not None:
                assert at(found, GOES_TO[api][name]) is not None, name
                seen.add(name)
    assert seen == set(GOES_TO[api])


def at(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name, {})
    return found or None if found != 0 else found


@pytest.mark.parametrize("api", Api)
def test_every_documented_value_is_the_action_or_in_its_place(api: Api) -> None:
    actions = set()
    for number in range(ALL[api]):
        found = json.loads(registry.format_event("ecs", made(api, number, "v2"), stream(api)).document)
        actions.add(found["event"].get("action"))
        assert (found["event"]["category"], found["event"]["type"]) == ecs.CATEGORIES[api]
    documented = EVENTS[api.path]["category" if api is Api.SIGN_IN else "action"]
    assert isinstance(documented, frozenset)
    assert actions - {None} == documented


def test_an_event_that_is_not_documented_at_all() -> None:
    found = json.loads(registry.format_event("ecs", event('{"verb": "x"}'), stream(Api.AUDIT, account=None)).document)
    assert found["event"]["original"] == '{"verb": "x"}'
    assert found["onepassword"] == {"uuid": UUID, "verb": "x"}
