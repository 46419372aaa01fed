"""Rows of the list of events: days, words, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.indexed_events import DAY_NS, NOON_NS, CollectedEvents, index_all

from blocks.config.name_file import NamedObject
from blocks.store import names
from blocks.store.search.query import SearchQuery
from blocks.store.search.results import search
from deployments.console.event_rows import event_rows

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_rows_have_words_names_and_the_first_of_each_day(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    collected.audit("A", NOON_NS)
    collected.item_usage("B", NOON_NS + DAY_NS)
    collected.audit("C", NOON_NS + DAY_NS + 1, aux_uuid=None, aux_details=None)
    collected.audit("D", NOON_NS + DAY_NS + 2, object_type="new", action="thing", object_uuid=None, aux_uuid=None)
    names.save(engine, [NamedObject("item1", "item", "Router", "vault1", None)])
    index_all(engine)
    rows = event_rows(engine, search(engine, SearchQuery()).events)
    assert [(row.hit.uuid, row.begins_day) for row in rows] == [("D", True), ("C", False), ("B", False), ("A", True)]
    assert [row.words for row in rows][:2] == ["new thing", "gave a person access to a vault"]
    assert [row.target for row in rows] == [("", ""), ("vault", "vault1"), ("item", "item1"), ("aux", "BO")]
    assert [row.name(row.target[1]) for row in rows] == ["", "vault1", "Router", "bo@example.org"]
    assert rows[0].name("ANA") == "ana@example.org"
    assert event_rows(engine, []) == []
