"""What sample events are like: every documented value, usual frequencies, the differences of v1 and v2, Go's JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from ipaddress import ip_address
from typing import Any

import pytest

from deployments.sandbox.sample_account import sample_account
from deployments.sandbox.sample_events import (
    HOUR,
    SECOND,
    EventBody,
    event_time,
    make_body,
    random_for,
    write,
    write_fraction,
    write_time,
)
from deployments.sandbox.vocabulary import APIS, AUDIT_ACTIONS, AUDITS, ITEM_ACTIONS, SIGN_INS

SEED = 5
NOON_NS = 1_772_625_600 * SECOND  # 2026-03-04T12:00:00Z
ACCOUNT = sample_account(SEED)


def made(api: str, number: int, seed: int = SEED) -> EventBody:
    random = random_for(seed, api, number)
    return make_body(seed, api, number, random, event_time(NOON_NS - random.randrange(HOUR), random.randrange(10)))


@cache
def bodies(api: str) -> tuple[EventBody, ...]:
    return tuple(made(api, number) for number in range(1000))


def events(api: str, version: int = 2) -> list[dict[str, Any]]:
    return [json.loads(body.v1 if version == 1 else body.v2) for body in bodies(api)]


def audits_of(kind: str) -> list[dict[str, Any]]:
    return [event for event in events("auditevents") if event["object_type"] == kind]


def test_the_vocabulary_is_as_large_as_the_documented_one() -> None:
    assert len({action for action, _ in AUDITS}) == 79
    assert len(AUDIT_ACTIONS) == 30
    assert len({category for category, _ in SIGN_INS}) == 7
    assert len({kind for _, kind in SIGN_INS}) == 31
    assert len(ITEM_ACTIONS) == 11


def test_every_third_event_has_the_next_documented_value() -> None:
    signed_in, used, audited = (events(api)[::3] for api in APIS)
    assert [(event["category"], event["type"]) for event in signed_in[:40]] == [*SIGN_INS, *SIGN_INS][:40]
    assert [event["action"] for event in used[:30]] == [*ITEM_ACTIONS, *ITEM_ACTIONS, *ITEM_ACTIONS][:30]
    assert [(event["action"], event["object_type"]) for event in audited[:200]] == [*AUDITS, *AUDITS, *AUDITS][:200]


def test_the_others_are_as_frequent_as_in_an_ordinary_account() -> None:
    signed_in = [event for number, event in enumerate(events("signinattempts")) if number % 3]
    good = [event for event in signed_in if event["category"] == "success"]
    assert 0.87 < len(good) / len(signed_in) < 0.95
    assert sum(event["type"] in ("credentials_ok", "mfa_ok") for event in good) > 0.95 * len(good)
    used = [event.get("action") for number, event in enumerate(events("itemusages")) if number % 3]
    assert {*used} == {"fill", "reveal", "secure-copy", None}
    assert 0.5 < used.count("fill") / len(used) < 0.66
    assert 0 < used.count(None) / len(used) < 0.04


@pytest.mark.parametrize(
    ("ns", "digits", "cut", "text"),
    [
        (NOON_NS + 123_456_789, 9, NOON_NS + 123_456_789, "2026-03-04T12:00:00.123456789Z"),
        (NOON_NS + 123_456_789, 3, NOON_NS + 123_000_000, "2026-03-04T12:00:00.123Z"),
        (NOON_NS + 123_456_789, 1, NOON_NS + 100_000_000, "2026-03-04T12:00:00.1Z"),
        (NOON_NS + 999_999_999, 0, NOON_NS, "2026-03-04T12:00:00Z"),
        (NOON_NS + 120_000_000, 9, NOON_NS + 120_000_000, "2026-03-04T12:00:00.12Z"),
        (-1, 9, -1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_is_truncated_to_its_digits(ns: int, digits: int, cut: int, text: str) -> None:
    when = event_time(ns, digits)
    assert (when.ns, when.text) == (cut, text)
    assert write_time(cut) == text


@pytest.mark.parametrize(("ns", "text"), [(0, ""), (1, ".000000001"), (500_000_000, ".5"), (10_000_000, ".01")])
def test_a_fraction_has_no_trailing_zero(ns: int, text: str) -> None:
    assert write_fraction(ns) == text


@pytest.mark.parametrize("api", APIS)
def test_an_event_is_a_function_of_its_seed_its_number_and_its_time(api: str) -> None:
    assert made(api, 7) == made(api, 7)
    assert len({made(api, 7), made(api, 8), made(api, 7, seed=6)}) == 3
    when = event_time(NOON_NS, 9)
    body = json.loads(make_body(SEED, api, 7, random_for(SEED, api, 7), when).v2)
    assert body["timestamp"] == "2026-03-04T12:00:00Z"


def test_uuids_are_26_characters_of_base32_and_unique() -> None:
    uuids = [event["uuid"] for api in APIS for event in events(api)]
    assert all(re.fullmatch("[A-Z2-7]{26}", uuid) for uuid in uuids)
    assert len(set(uuids)) == 3000


def test_sign_ins_have_null_and_absent_members_and_both_kinds_of_address() -> None:
    signed_in = events("signinattempts")
    assert {"account_uuid" in event for event in signed_in} == {True, False}
    assert {"location" in event for event in signed_in} == {True, False}
    assert {":" in event["client"]["ip_address"] for event in signed_in} == {True, False}
    assert all(event["country"] == event["location"]["country"] for event in signed_in if "location" in event)


def test_what_blocked_a_sign_in_is_in_its_details() -> None:
    details: dict[str, list[dict[str, Any]]] = {}
    for event in events("signinattempts"):
        if event["details"] is not None:
            details.setdefault(event["type"], []).append(event)
    assert details.keys() == {"ip_blocked", "continent_blocked", "country_blocked"}
    assert all(ip_address(event["details"]["value"]) for event in details["ip_blocked"])
    assert all(event["details"] == {"value": "Oceania"} for event in details["continent_blocked"])
    assert all(event["details"] == {"value": event["country"]} for event in details["country_blocked"])


def test_a_guest_signs_in_with_its_account() -> None:
    guests = [event for event in events("signinattempts") if "user_type" in event["target_user"]]
    assert guests
    assert all(event["account_uuid"] == ACCOUNT.account for event in guests)


def test_latitude_is_latitude() -> None:
    places = [event["location"] for event in events("signinattempts") if "location" in event]
    toronto = next(place for place in places if place.get("city") == "Toronto")
    assert (toronto["latitude"], toronto["longitude"]) == (43.6532, -79.3832)
    assert any(place.keys() == {"country"} for place in places)


def test_item_usages_are_of_the_items_of_the_account() -> None:
    used = events("itemusages")
    assert {event["used_version"] for event in used} == set(range(9))
    assert {event["item_uuid"] for event in used} <= set(ACCOUNT.items)
    assert {event["vault_uuid"] for event in used} == set(ACCOUNT.vaults)
    assert {event.get("account_uuid") for event in used} == {ACCOUNT.account, None}


def test_the_meaning_of_aux_depends_on_the_object() -> None:
    people = {person.uuid: person.short() for person in ACCOUNT.people}
    for kind in ("gm", "uva", "device"):
        assert all(event["aux_details"] == people[event["aux_uuid"]] for event in audits_of(kind))
        assert all(0 < event["aux_id"] < 1_000_000 for event in audits_of(kind))
    assert {event["aux_info"] for event in audits_of("gm")} == {"R", "A"}
    assert all(2 <= int(event["aux_info"]) <= 255 for event in audits_of("uva"))
    assert all("aux_info" not in event for event in audits_of("device"))
    assert all(event["aux_uuid"] in ACCOUNT.groups and "aux_details" not in event for event in audits_of("gva"))
    assert all(event["aux_uuid"] in ACCOUNT.devices for event in audits_of("dlgdsess"))
    assert all(event["aux_info"].endswith("@example.org") for event in audits_of("invite"))
    assert {event["aux_info"] for event in audits_of("account")} == {"duo,totp; Rule 7: allow <all> & log"}
    assert not any(member.startswith("aux") for kind in ("vault", "item") for e in audits_of(kind) for member in e)
    assert not any("client" in event for event in events("auditevents"))


def test_the_object_is_one_of_the_account() -> None:
    ids = {
        **dict.fromkeys(("gm", "group"), ACCOUNT.groups),
        **dict.fromkeys(("uva", "gva", "vault"), ACCOUNT.vaults),
        "item": ACCOUNT.items,
        "device": ACCOUNT.devices,
    }
    for kind in AUDIT_ACTIONS:
        objects = audits_of(kind)
        assert objects
        if kind == "user":
            assert all(event["object_details"]["uuid"] == event["object_uuid"] for event in objects)
            continue
        assert not any("object_details" in event for event in objects)
        own = [
            event["object_uuid"] in ids[kind] if kind in ids else event["object_uuid"].isupper() for event in objects
        ]
        assert all(own), kind


def test_a_session_began_within_the_eight_hours_before() -> None:
    for event in events("auditevents"):
        logged_in, happened = (
            datetime.fromisoformat(one) for one in (event["session"]["login_time"], event["timestamp"])
        )
        assert 0 <= (happened - logged_in).total_seconds() <= 8 * 3600 + 1
        assert event["session"]["device_uuid"] in ACCOUNT.devices


@pytest.mark.parametrize("api", APIS)
def test_v1_lacks_what_came_with_v2(api: str) -> None:
    older, newer = events(api, 1), events(api, 2)
    new = {"account_uuid", "actor_type", "actor_account_uuid"}
    person = {"signinattempts": "target_user", "itemusages": "user", "auditevents": "actor_details"}[api]
    for one, two in zip(older, newer, strict=True):
        assert one[person] == {name: two[person][name] for name in ("uuid", "name", "email")}
        assert two.get("type") in (one.get("type"), "federated")
        same = {name: value for name, value in two.items() if name not in {*new, person, "type"}}
        assert same == {name: value for name, value in one.items() if name not in {person, "type"}}
    assert any(event[person].keys() >= {"user_type", "user_account_uuid"} for event in newer)
    assert any("account_uuid" in event for event in newer)


def test_v1_has_no_federated_sign_in() -> None:
    federated = [n for n, event in enumerate(events("signinattempts")) if event["type"] == "federated"]
    assert federated
    older = events("signinattempts", 1)
    assert {older[number]["type"] for number in federated} == {"credentials_ok"}


def test_actors_of_another_account_are_external() -> None:
    audited = events("auditevents")
    assert {event["actor_type"] for event in audited} == {"user", "external_user"}
    for event in audited:
        is_guest = "user_type" in event["actor_details"]
        assert (event["actor_type"] == "external_user") is is_guest
        assert (event["actor_account_uuid"] != event["account_uuid"]) is is_guest


def test_json_is_written_as_go_does() -> None:
    assert (
        write({"a": "<b> & é", "c": [1, None]}) == rb'{"a":"\u003cb\u003e \u0026 ' + "é".encode() + b'","c":[1,null]}'
    )
    signed_in = b"\n".join(body.v2 for body in bodies("signinattempts"))
    assert rb"Ines \u0026 Ivo" in signed_in
    assert rb"\u003ccontractor\u003e" in signed_in
    assert rb"Oscar \"Ozzy\" Reyes" in signed_in
    assert "Chloé".encode() in signed_in
    assert b'": ' not in signed_in
