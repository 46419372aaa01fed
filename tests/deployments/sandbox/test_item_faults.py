"""Faults of single events: pure functions, so that what was served can be served again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from deployments.sandbox.faults import InjectedFault
from deployments.sandbox.item_faults import alter

BODY = b'{"uuid":"U1","timestamp":"2026-03-04T05:06:07Z","action":"fill","used_version":3,"user":{"name":"Ana"}}'


@dataclass
class Fault:
    """A fault of every `every`th event."""

    kind: str
    every: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def alters(self, number: int) -> bool:
        return number % self.every == 0


def altered(*faults: Fault, numbers: range = range(1)) -> list[bytes]:
    return alter([BODY] * len(numbers), numbers, cast("list[InjectedFault]", list(faults)))


def test_without_faults_the_bodies_are_served_as_they_are() -> None:
    bodies = [BODY]
    assert alter(bodies, range(1), []) is bodies


def test_only_the_events_of_a_fault_are_changed_and_always_in_the_same_way() -> None:
    fault = Fault("unknown_values", every=3)
    found = altered(fault, numbers=range(7))
    assert [body != BODY for body in found] == [True, False, False, True, False, False, True]
    assert altered(fault, numbers=range(7)) == found


@pytest.mark.parametrize("kind", ["unknown_members", "huge_numbers", "nul_escapes", "lone_surrogates"])
def test_members_are_added_behind_the_uuid(kind: str) -> None:
    (body,) = altered(Fault(kind))
    event = json.loads(body)
    assert next(iter(event)) == "uuid"
    assert set(event) > set(json.loads(BODY))


def test_values_are_new_numbers_are_huge_and_texts_have_escapes_that_databases_refuse() -> None:
    assert json.loads(altered(Fault("unknown_values"))[0])["action"] == "x_fill_of_tomorrow"
    assert json.loads(altered(Fault("huge_numbers"))[0])["used_version"] == 2**64
    assert b'"name":"\\u0000Ana"' in altered(Fault("nul_escapes"))[0]
    assert b'"name":"\\ud800Ana"' in altered(Fault("lone_surrogates"))[0]
    (big,) = altered(Fault("big_event", options={"bytes": 1000}))
    assert len(json.loads(big)["x_blob"]) == 1000


def test_each_way_to_be_no_event_has_its_turn() -> None:
    uuids = [json.loads(body).get("uuid", "none") for body in altered(Fault("no_uuid"), numbers=range(5))]
    assert uuids == ["none", None, 42, "", "none"]
    times = [json.loads(body).get("timestamp", "none") for body in altered(Fault("unreadable_time"), numbers=range(5))]
    assert times == ["yesterday", "none", None, 1772600767, "2026-02-30T25:61:61Z"]
    others = [json.loads(body) for body in altered(Fault("not_an_object"), numbers=range(5))]
    assert others == [None, 42, "an event", [], True]


def test_the_occurrence_counts_the_events_of_the_fault_alone() -> None:
    found = altered(Fault("not_an_object", every=2), numbers=range(6))
    assert [json.loads(body) for body in found[::2]] == [None, 42, "an event"]


def test_two_faults_change_one_event() -> None:
    (body,) = altered(Fault("unknown_values"), Fault("no_uuid"))
    event = json.loads(body)
    assert ("uuid" in event, event["action"]) == (False, "x_fill_of_tomorrow")
