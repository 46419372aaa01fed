"""Which events a condition matches, and what is wrong with one that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.events_api.models import Api
from blocks.siem.privacy import conditions
from blocks.siem.privacy.conditions import list_problems, parse, patterns_of, placed

BODY = {
    "action": "fill",
    "category": "success",
    "client": {"app_name": "1Password SCIM Bridge"},
    "user": {"email": "ana@example.org"},
}


def holds(condition: dict[str, Any], api: Api = Api.ITEM_USAGE, **members: Any) -> bool:
    assert list(conditions.problems(condition, "at")) == []
    return parse(condition).holds(api, json.dumps(BODY | members).encode())


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ({"api": "itemUsage"}, True),
        ({"api": ["audit", "itemusages"]}, True),
        ({"api": "audit"}, False),
        ({"action": "fill"}, True),
        ({"action": ["reveal", "fill"]}, True),
        ({"action": "reveal"}, False),
        ({"action": "fill", "category": "firewall_failed"}, False),
        ({"action": "fill", "category": "success"}, True),
        ({"matches": {"client.app_name": ".*SCIM.*"}}, True),
        ({"matches": {"client.app_name": "SCIM"}}, False),
        ({"matches": {"client.app_name": ".*SCIM.*", "user.email": ".*@example.com"}}, False),
        ({"matches": {"client.os_name": ".*"}}, False),
    ],
)
def test_all_parts_of_a_condition_must_hold(condition: dict[str, Any], *, matches: bool) -> None:
    assert holds(condition) is matches


def test_a_new_value_is_named_as_new() -> None:
    assert holds({"action": "new:teleport"}, action="teleport")
    assert not holds({"action": "new:teleport"})


def test_a_member_that_is_no_text_is_compared_as_its_json_and_objects_never_match() -> None:
    assert not holds({"action": "fill"}, action={"fill": 1})
    assert not holds({"matches": {"client.os_name": ".*"}}, client={"os_name": None})


@pytest.mark.parametrize(
    ("condition", "places"),
    [
        ({}, ["at"]),
        ([], ["at"]),
        ("fill", ["at"]),
        ({"actoin": "fill"}, ["at.actoin"]),
        ({"action": []}, ["at.action"]),
        ({"action": 5}, ["at.action"]),
        ({"action": ["fill", 5]}, ["at.action"]),
        ({"action": ["fill", "flil"]}, ["at.action[1]"]),
        ({"api": "new:logins"}, ["at.api"]),
        ({"matches": {}}, ["at.matches"]),
        ({"matches": "x"}, ["at.matches"]),
        ({"matches": {"client.app_name": 5}}, ['at.matches["client.app_name"]']),
        ({"matches": {"client.app_name": "("}}, ['at.matches["client.app_name"]']),
        ({"actoin": "fill", "api": "x", "matches": {}}, ["at.actoin", "at.api", "at.matches"]),
    ],
)
def test_each_problem_has_its_place(condition: object, places: list[str]) -> None:
    assert [problem.path for problem in conditions.problems(condition, "at")] == places


def test_a_value_that_is_not_documented_is_named_with_the_nearest_and_with_how_to_use_it_all_the_same() -> None:
    (problem,) = conditions.problems({"action": "flil"}, "at")
    assert problem.description == '"flil" is not a documented action'
    assert problem.expected == '"fill", or "new:flil" if it is new'
    (problem,) = conditions.problems({"api": "itemusage"}, "at")
    assert problem.expected == '"itemUsage"'


def test_patterns_are_found_beside_other_problems() -> None:
    assert list(patterns_of({"actoin": 1, "matches": {"a": "x", "b": 5, "c": "y"}})) == ["x", "y"]
    assert list(patterns_of({"matches": ["x"]})) == []
    assert list(patterns_of("x")) == []


def test_a_text_or_a_list_of_texts_is_a_list() -> None:
    assert list(list_problems("a", "at", "e")) == list(list_problems(["a", "b"], "at", "e")) == []
    assert [problem.description for problem in list_problems([], "at", "e")] == ["the list is empty"]
    assert [problem.description for problem in list_problems([1], "at", "e")] == ["it holds a value that is not a text"]
    assert [problem.description for problem in list_problems(None, "at", "e")] == ["it is null"]
    assert list(placed("a", "at")) == [("at", "a")]
    assert list(placed(["a", "b"], "at")) == [("at[0]", "a"), ("at[1]", "b")]
