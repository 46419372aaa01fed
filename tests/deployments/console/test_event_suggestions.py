"""What a form suggests, by value and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.indexed_events import CollectedEvents, index_all

from blocks.config.name_file import NamedObject
from blocks.store import names
from deployments.console.event_suggestions import Suggestion, id_of, suggest

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engine: Engine) -> Engine:
    collected = CollectedEvents(engine)
    collected.audit("A")
    collected.item_usage("I")
    index_all(engine)
    objects = [
        ("item1", "item", "Router"),
        ("other", "item", "Rooftop"),
        ("v", "vault", "Twice"),
        ("w", "vault", "twice"),
    ]
    names.save(engine, [NamedObject(uuid, kind, name, None, None) for uuid, kind, name in objects])
    return engine


@pytest.mark.parametrize(
    ("parameter", "typed", "expected"),
    [
        ("api", "U", [Suggestion("itemUsage"), Suggestion("audit")]),
        ("source", "1p", [Suggestion("1Pass")]),
        ("person", "bo@", [Suggestion("BO", "bo@example.org")]),
        ("item", "ite", [Suggestion("item1", "Router")]),
        ("item", "rout", [Suggestion("item1", "Router")]),
        ("action", "gra", [Suggestion("grant")]),
        ("action", "zzz", []),
    ],
)
def test_values_are_suggested(filled: Engine, parameter: str, typed: str, expected: list[Suggestion]) -> None:
    found = suggest(filled, parameter, typed)
    assert [one for one in found if one in expected] == expected
    assert expected or not found


def test_a_name_stands_for_its_id_where_it_is_the_only_one(filled: Engine) -> None:
    assert id_of(filled, "item", "ROUTER") == "item1"
    assert id_of(filled, "vault", "Twice") == "Twice", "two have it"
    assert id_of(filled, "item", "unknown") == "unknown"
    assert id_of(filled, "user", "Router") == "Router"
