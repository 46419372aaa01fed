"""Conditions of rules: which APIs, actions, categories or patterns in members an event must match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.problems import Problem, closest_match, describe_type, json_path, quote
from blocks.siem.privacy import json_members, members, patterns
from blocks.siem.privacy.patterns import TEXT_MAX, Pattern, utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = ("action", "category", "type", "object_type")
"""Members that a condition compares with documented values."""
KEYS = ("api", *VALUES, "matches")
FORM = 'an object such as {"action": ["fill"]} or {"matches": {"client.app_name": ".*SCIM.*"}}'
_APIS = {**{api.value: api for api in Api}, **{api.path: api for api in Api}}


@dataclass(frozen=True, slots=True)
class EventCondition:
    """All parts must hold: `values`, a text at the path is one of these; `patterns`, a whole text at it matches."""

    apis: frozenset[Api] | None
    values: tuple[tuple[members.Path, frozenset[str]], ...]
    patterns: tuple[tuple[members.Path, Pattern], ...]

    def holds(self, api: Api, data: bytes) -> bool:
        """Return whether an event matches. One of several values at a path is enough. Raises ValueError."""
        if self.apis is not None and api not in self.apis:
            return False
        return all(_texts(data, path) & wanted for path, wanted in self.values) and all(
            any(pattern.matches_whole(utf8(text[:TEXT_MAX])) for text in _texts(data, path))
            for path, pattern in self.patterns
        )


def parse(condition: Mapping[str, object]) -> EventCondition:
    """Parse a condition in which `problems` finds none."""
    apis = condition.get("api")
    matches = condition.get("matches", {})
    assert isinstance(matches, dict)  # noqa: S101 - `problems` checks it
    return EventCondition(
        frozenset(_APIS[text] for text in _listed(apis)) if apis is not None else None,
        tuple(
            ((key,), frozenset(text.removeprefix(members.NEW) for text in _listed(condition[key])))
            for key in VALUES
            if key in condition
        ),
        tuple((members.resolve(name)[0], Pattern(pattern)) for name, pattern in matches.items()),
    )


def problems(condition: object, path: str) -> Iterator[Problem]:
    """Yield the problems of the condition at `path`."""
    if not isinstance(condition, dict) or not condition:
        problem = (
            "it is empty, so it would match every event" if condition == {} else f"it is {describe_type(condition)}"
        )
        yield Problem(path, problem, FORM)
        return
    for key, value in condition.items():
        place = json_path(path, key)
        if key == "matches":
            yield from _match_problems(value, place)
        elif key in KEYS:
            yield from _value_problems(key, value, place)
        else:
            similar = closest_match(key, KEYS)
            yield Problem(place, "this key is not known", quote(similar) if similar else f"one of {', '.join(KEYS)}")


def patterns_of(condition: object) -> Iterator[str]:
    """Yield the patterns of a condition, even if other parts of it have problems."""
    matches = condition.get("matches") if isinstance(condition, dict) else None
    if isinstance(matches, dict):
        yield from (pattern for pattern in matches.values() if isinstance(pattern, str))


def list_problems(value: object, path: str, example: str) -> Iterator[Problem]:
    """Yield the problem of a value that must be a text or a list of texts."""
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
        return
    yield Problem(
        path, "the list is empty" if value == [] else _problem_of_kind(value), f'a list such as ["{example}"]'
    )


def _value_problems(key: str, value: object, path: str) -> Iterator[Problem]:
    words = list(_APIS) if key == "api" else _documented(key)
    near = [api.value for api in Api] if key == "api" else words
    found = list(list_problems(value, path, words[0]))
    yield from found
    for place, text in () if found else placed(value, path):
        if text in words or (key != "api" and text.startswith(members.NEW)):
            continue
        new = "" if key == "api" else f", or {quote(members.NEW + text)} if it is new"
        yield Problem(
            place, f"{quote(text)} is not a documented {key}", quote(closest_match(text, near) or near[0]) + new
        )


def _match_problems(value: object, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict) or not value:
        problem = "it is empty" if value == {} else f"it is {describe_type(value)}"
        yield Problem(path, problem, 'a member and a pattern, such as {"client.app_name": ".*SCIM.*"}')
        return
    for name, pattern in value.items():
        place = json_path(path, name)
        yield from members.name_problems(name, place, classes=False)
        if isinstance(pattern, str):
            yield from patterns.problems(pattern, place)
        else:
            yield Problem(place, f"it is {describe_type(pattern)}", "a regular expression, as a text")


def placed(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a checked list, each with its JSON path. A single text counts as a list of one."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        yield from ((json_path(path, index), text) for index, text in enumerate(value))


def _listed(value: object) -> list[str]:
    return [text for _, text in placed(value, "")]


def _problem_of_kind(value: object) -> str:
    return "it holds a value that is not a text" if isinstance(value, list) else f"it is {describe_type(value)}"


@cache
def _documented(member: str) -> list[str]:
    shapes = [shape for event in EVENTS.values() if isinstance(shape := event.get(member), frozenset)]
    return sorted(frozenset().union(*shapes))


def _texts(data: bytes, path: members.Path) -> set[str]:
    found = json_members.find_values(data, path)
    return {json_members.text_of(value) for value in found if value[:1] not in (b"{", b"") and value != b"null"}
