"""What the sandbox's events are like: every documented value, the differences of v1 and v2, growth, bulk."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from deployments.sandbox.process import SandboxProcess, running_sandbox
from deployments.sandbox.vocabulary import AUDIT_ACTIONS, AUDITS, ITEM_ACTIONS, SIGN_INS

if TYPE_CHECKING:
    from collections.abc import Iterator

APIS = ("signinattempts", "itemusages", "auditevents")
FROM_THE_START = {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}
UNTIL = "2026-03-04T05:06:07Z"


@pytest.fixture(scope="module", params=["history", "bulk"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxProcess]:
    with running_sandbox(events=3000, seed=5, until=UNTIL, bulk=request.param == "bulk") as running:
        yield running


@pytest.fixture
def growing() -> Iterator[SandboxProcess]:
    with running_sandbox(events=30, rate=2) as running:
        yield running


def events(sandbox: SandboxProcess, api: str, version: int = 2) -> list[dict[str, Any]]:
    return [json.loads(body) for body in sandbox.events(api, version)]


def drain(sandbox: SandboxProcess, api: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    read = [sandbox.post(api, query).json()]
    while read[-1]["has_more"]:
        read.append(sandbox.post(api, {"cursor": read[-1]["cursor"]}).json())
    return [item for page in read for item in page["items"]]


def test_the_vocabulary_is_as_large_as_the_documented_one() -> None:
    assert len({action for action, _ in AUDITS}) == 79
    assert len(AUDIT_ACTIONS) == 30
    assert len({category for category, _ in SIGN_INS}) == 7
    assert len({kind for _, kind in SIGN_INS}) == 31
    assert len(ITEM_ACTIONS) == 11


def test_every_documented_value_appears(sandbox: SandboxProcess) -> None:
    signed_in, used, audited = (events(sandbox, api) for api in APIS)
    assert {(event["category"], event["type"]) for event in signed_in} == set(SIGN_INS)
    assert {event.get("action") for event in used} == {*ITEM_ACTIONS, None}
    assert {(event["action"], event["object_type"]) for event in audited} == set(AUDITS)


def test_times_have_zero_to_nine_digits_and_no_trailing_zero(sandbox: SandboxProcess) -> None:
    times = [event["timestamp"] for api in APIS for event in events(sandbox, api)]
    assert all(re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", time) for time in times)
    assert {len(time.partition(".")[2].rstrip("Z")) for time in times} == set(range(10))


def test_uuids_are_26_characters_of_base32_and_unique(sandbox: SandboxProcess) -> None:
    uuids = [event["uuid"] for api in APIS for event in events(sandbox, api)]
    assert all(re.fullmatch("[A-Z2-7]{26}", uuid) for uuid in uuids)
    assert len(set(uuids)) == 3000


def test_sign_ins_have_null_and_absent_members_and_both_kinds_of_address(sandbox: SandboxProcess) -> None:
    signed_in = events(sandbox, "signinattempts")
    assert {event["details"] is None for event in signed_in} == {True, False}
    assert {"location" in event for event in signed_in} == {True, False}
    assert {":" in event["client"]["ip_address"] for event in signed_in} == {True, False}
    blocked = [event for event in signed_in if event["type"] == "country_blocked"]
    assert all(event["details"] == {"value": event["country"]} for event in blocked)


def test_latitude_is_latitude(sandbox: SandboxProcess) -> None:
    places = [event["location"] for event in events(sandbox, "signinattempts") if "location" in event]
    toronto = next(place for place in places if place.get("city") == "Toronto")
    assert (toronto["latitude"], toronto["longitude"]) == (43.6532, -79.3832)
    assert any(place.keys() == {"country"} for place in places)


def test_the_meaning_of_aux_depends_on_the_object(sandbox: SandboxProcess) -> None:
    by_kind: dict[str, dict[str, Any]] = {event["object_type"]: event for event in events(sandbox, "auditevents")}
    assert by_kind["gm"]["aux_info"] in ("R", "A")
    assert by_kind["gm"]["aux_details"]["uuid"] == by_kind["gm"]["aux_uuid"]
    assert by_kind["uva"]["aux_details"]["uuid"] == by_kind["uva"]["aux_uuid"]
    assert "aux_details" not in by_kind["gva"]
    assert by_kind["gva"]["aux_uuid"]
    assert isinstance(by_kind["device"]["aux_id"], int)
    assert by_kind["device"]["aux_details"]
    assert by_kind["user"]["object_details"]["uuid"] == by_kind["user"]["object_uuid"]
    assert not any("object_details" in event for kind, event in by_kind.items() if kind != "user")
    assert "aux_uuid" not in by_kind["vault"]
    assert not any("client" in event for event in by_kind.values())


@pytest.mark.parametrize("api", APIS)
def test_v1_lacks_what_came_with_v2(sandbox: SandboxProcess, api: str) -> None:
    older, newer = events(sandbox, api, 1), events(sandbox, api, 2)
    assert [event["uuid"] for event in older] == [event["uuid"] for event in newer]
    assert [event["timestamp"] for event in older] == [event["timestamp"] for event in newer]
    new = {"account_uuid", "actor_type", "actor_account_uuid"}
    assert not any(new & event.keys() for event in older)
    assert any("account_uuid" in event for event in newer)
    person = {"signinattempts": "target_user", "itemusages": "user", "auditevents": "actor_details"}[api]
    assert all(event[person].keys() == {"uuid", "name", "email"} for event in older)
    assert any(event[person].keys() >= {"user_type", "user_account_uuid"} for event in newer)
    assert not any(event.get("type") == "federated" for event in older)


def test_actors_of_another_account_are_external(sandbox: SandboxProcess) -> None:
    audited = events(sandbox, "auditevents")
    assert {event["actor_type"] for event in audited} == {"user", "external_user"}
    away = [event for event in audited if event["actor_type"] == "external_user"]
    assert all(event["actor_account_uuid"] != event["account_uuid"] for event in away)


def test_bodies_are_written_as_go_does(sandbox: SandboxProcess) -> None:
    bodies = b"\n".join(sandbox.events("signinattempts"))
    assert rb"Ines \u0026 Ivo" in bodies
    assert rb"\u003ccontractor\u003e" in bodies
    assert rb"Oscar \"Ozzy\" Reyes" in bodies
    assert "Chloé".encode() in bodies
    assert b'": ' not in bodies


def test_one_seed_and_one_end_make_the_same_bytes(sandbox: SandboxProcess) -> None:
    bulk = "content-encoding" not in sandbox.post("auditevents", FROM_THE_START).headers
    for seed, same in ((5, True), (6, False)):
        with running_sandbox(events=3000, seed=seed, until=UNTIL, bulk=bulk) as other:
            assert (other.events("auditevents") == sandbox.events("auditevents")) is same


def test_events_lie_within_the_days_before_the_end(sandbox: SandboxProcess) -> None:
    times = [event["timestamp"] for api in APIS for event in events(sandbox, api)]
    assert min(times) > "2026-02-24T05:00:00Z"
    assert max(times) < UNTIL
    assert min(times) < "2026-02-26"
    assert max(times) > "2026-03-04"


def test_the_served_events_can_be_limited_to_a_window(sandbox: SandboxProcess) -> None:
    window = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-02T00:00:00Z"}
    bodies = [json.loads(body) for body in sandbox.events("auditevents", **window)]
    assert bodies == drain(sandbox, "auditevents", {"limit": 10, **window})
    assert {event["timestamp"][:10] for event in bodies} == {"2026-03-01"}
    inside = [event for event in events(sandbox, "auditevents") if event["timestamp"][:10] == "2026-03-01"]
    assert bodies == inside


def test_the_truth_comes_as_lines_too(sandbox: SandboxProcess) -> None:
    lines = sandbox._http.get("/_sandbox/events/auditevents?version=1").content
    assert lines.splitlines() == sandbox.events("auditevents", 1)


def test_events_arrive_as_time_passes(growing: SandboxProcess) -> None:
    first = growing.post("auditevents", FROM_THE_START).json()
    growing.advance(150)
    second = growing.post("auditevents", {"cursor": first["cursor"]}).json()
    assert (len(first["items"]), len(second["items"])) == (10, 5)
    assert second["cursor"] != first["cursor"]
    assert len(growing.events("auditevents")) == 15


def test_what_arrives_late_comes_after_the_cursor(growing: SandboxProcess) -> None:
    cursor = growing.post("itemusages", FROM_THE_START).json()["cursor"]
    growing.arrive("itemusages", 2, late=20 * 3600)
    late = growing.post("itemusages", {"cursor": cursor}).json()["items"]
    assert len(late) == 2
    assert late[0]["uuid"] != late[1]["uuid"]
    assert late[0]["timestamp"] < max(event["timestamp"] for event in events(growing, "itemusages"))


@pytest.mark.parametrize("bulk", [False, True])
def test_an_appended_event_is_served_byte_for_byte_in_both_versions(*, bulk: bool) -> None:
    raw = b'{ "timestamp" : "2026-03-01T00:00:00Z",\n"note": "a\\u0000b \xc3\xa9" , "uuid":"X", "n": 1.0e2}'
    with running_sandbox(events=4500, bulk=bulk, until=UNTIL) as sandbox:
        sandbox.append("auditevents", raw)
        sandbox.append("auditevents", b"null")
        for version in (1, 2):
            assert sandbox.events("auditevents", version)[-2:] == [raw, b"null"]
            first = sandbox.post("auditevents", FROM_THE_START, version).json()
            last = sandbox.post("auditevents", {"cursor": first["cursor"]}, version)
            assert last.content.endswith(b"," + raw + b",null]}")
            assert (len(last.json()["items"]), last.json()["has_more"]) == (502, False)


def test_an_appended_event_stands_at_its_own_time(growing: SandboxProcess) -> None:
    growing.append("auditevents", b'{"uuid":"A","timestamp":"2021-05-05T00:00:00Z"}')
    growing.append("auditevents", b'{"uuid":"B","timestamp":"never"}')
    old = growing.post("auditevents", {"start_time": "2021-01-01T00:00:00Z", "end_time": "2022-01-01T00:00:00Z"})
    assert old.json()["items"] == [{"uuid": "A", "timestamp": "2021-05-05T00:00:00Z"}]
    recent = growing.post("auditevents", {}).json()["items"]
    assert {"uuid": "B", "timestamp": "never"} in recent


def test_bulk_holds_exactly_the_requested_number_with_no_prefix_in_common() -> None:
    with running_sandbox(events=100_000, bulk=True) as sandbox:
        found: list[bytes] = []
        for api in APIS:
            found += [body[9:35] for body in sandbox.events(api)]
    assert len(found) == len(set(found)) == 100_000
    assert len({uuid[:4] for uuid in found}) > 90_000


def test_bulk_pages_that_begin_anywhere_are_the_same_events() -> None:
    with running_sandbox(events=9001, bulk=True) as sandbox:
        truth = [json.loads(body)["uuid"] for body in sandbox.events("signinattempts")]
        assert len(truth) == 3001
        for limit in (999, 250, 1000):
            read = drain(sandbox, "signinattempts", {**FROM_THE_START, "limit": limit})
            assert [event["uuid"] for event in read] == truth


def test_bulk_times_rise() -> None:
    with running_sandbox(events=12_000, bulk=True, days=1) as sandbox:
        times = [event["timestamp"].rstrip("Z").ljust(20, ".") for event in events(sandbox, "itemusages")]
    assert times == sorted(times)


def test_bulk_windows_hold_what_happened_in_them_and_side_by_side_they_hold_it_all() -> None:
    with running_sandbox(events=30_000, bulk=True, days=2, until=UNTIL) as sandbox:
        days = [f"2026-03-0{day}T00:00:00Z" for day in (1, 2, 3, 4, 5)]
        spans = [{"limit": 1000, "start_time": start, "end_time": end} for start, end in pairwise(days)]
        pages = [sandbox.post("itemusages", span).json() for span in spans]
        windows: list[list[dict[str, Any]]] = [page["items"] for page in pages]
        while any(page["has_more"] for page in pages):  # in turns, as readers ask
            for number, page in enumerate(pages):
                if page["has_more"]:
                    pages[number] = sandbox.post("itemusages", {"cursor": page["cursor"]}).json()
                    windows[number] += pages[number]["items"]
        for span, items in zip(spans, windows, strict=True):
            assert all(span["start_time"] <= item["timestamp"] < span["end_time"] for item in items)
        assert windows[0] == []
        assert all(len(items) > 500 for items in windows[1:])
        assert [item for items in windows for item in items] == drain(sandbox, "itemusages", FROM_THE_START)


def test_bulk_grows_behind_its_events() -> None:
    with running_sandbox(events=3000, bulk=True, rate=1) as sandbox:
        first = sandbox.post("auditevents", FROM_THE_START).json()
        sandbox.advance(180)
        again = sandbox.post("auditevents", {"cursor": first["cursor"]}).json()
        assert (len(first["items"]), first["has_more"], len(again["items"])) == (1000, True, 3)
        everything = [event["uuid"] for event in events(sandbox, "auditevents")]
        assert len(set(everything)) == 1003
