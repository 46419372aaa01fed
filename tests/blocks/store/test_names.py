"""Imported names in the store, on both databases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks import clock
from blocks.config.name_file import NamedObject
from blocks.store import names

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

VAULT = NamedObject("v1", "vault", "Payroll")
ITEM = NamedObject("i1", "item", "Ärzte", "v1")
USER = NamedObject("U1", "user", "Ana", None, "ana@example.org")


def matching(engine: Engine, sought: str = "") -> list[NamedObject]:
    return [one.object for one in names.matching(engine, sought)]


def records(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [(row.action, row.details) for row in connection.execute(text("SELECT * FROM audit_log ORDER BY id"))]


def test_an_import_adds_changes_and_keeps(engine: Engine) -> None:
    assert names.save(engine, [VAULT, ITEM, USER]) == (3, 0, 0)
    assert names.save(engine, [VAULT, ITEM._replace(name="Banks")]) == (0, 1, 1)
    assert matching(engine) == [ITEM._replace(name="Banks"), USER, VAULT]
    assert names.save(engine, []) == (0, 0, 0)


def test_a_user_or_vault_that_another_file_does_not_name_loses_it(engine: Engine) -> None:
    names.save(engine, [ITEM, USER])
    assert names.save(engine, [ITEM._replace(vault_uuid=None), USER._replace(email="a@example.org")]) == (0, 2, 0)
    assert matching(engine) == [ITEM._replace(vault_uuid=None), USER._replace(email="a@example.org")]


def test_the_time_of_an_import_is_that_of_the_last_file(engine: Engine, moving: MovingClock) -> None:
    names.save(engine, [VAULT])
    before = names.matching(engine)[0].imported_ns
    moving.advance(60)
    names.save(engine, [VAULT])
    assert names.matching(engine)[0].imported_ns > before
    assert names.matching(engine)[0].imported_ns <= clock.now_ns()


def test_a_filter_matches_any_member_in_any_case(engine: Engine) -> None:
    names.save(engine, [VAULT, ITEM, USER])
    assert matching(engine, "äRZ") == [ITEM]
    assert matching(engine, "V1") == [ITEM, VAULT]
    assert matching(engine, "USER") == [USER]
    assert matching(engine, "example.ORG") == [USER]
    assert matching(engine, "%") == []


def test_names_of_ids(engine: Engine) -> None:
    names.save(engine, [VAULT, ITEM])
    assert names.name_by_uuid(engine) == {"v1": "Payroll", "i1": "Ärzte"}
    assert names.name_by_uuid(engine, ["v1", "v2", "V1"]) == {"v1": "Payroll"}
    assert names.name_by_uuid(engine, []) == {}


def test_more_names_than_a_statement_takes(engine: Engine) -> None:
    many = [NamedObject(f"i{number}", "item", f"Item {number}") for number in range(2 * names.BATCH + 1)]
    assert names.save(engine, many) == (len(many), 0, 0)
    assert names.save(engine, many) == (0, 0, len(many))
    assert len(names.name_by_uuid(engine, [one.uuid for one in many])) == len(many)
    assert names.remove(engine, [one.uuid for one in many[1:]]) == len(many) - 1
    assert matching(engine) == many[:1]


def test_names_can_be_removed(engine: Engine) -> None:
    names.save(engine, [VAULT, ITEM, USER])
    assert names.remove(engine, ["v1", "v1", "x"]) == 1
    assert matching(engine) == [ITEM, USER]
    assert names.remove(engine) == 2
    assert names.remove(engine) == 0
    assert matching(engine) == []


def test_the_audit_log_counts_changes_and_names_nothing(engine: Engine) -> None:
    names.save(engine, [VAULT, ITEM])
    names.save(engine, [VAULT, ITEM])  # changes nothing
    names.remove(engine, ["x"])  # removes nothing
    names.remove(engine)
    assert [(action, json.loads(details)) for action, details in records(engine)] == [
        ("names import", {"added": 2, "changed": 0, "kept": 0}),
        ("names remove", {"removed": 2}),
    ]


def test_hostile_names_come_back_as_they_are(engine: Engine) -> None:
    markup = "<script>\x1b[2J\u202e'; DROP TABLE names; --=1+1"
    hostile = [NamedObject("a", "item", markup), NamedObject("b", "item", "\\%_")]
    names.save(engine, hostile)
    assert matching(engine) == [hostile[0], hostile[1]]
    assert matching(engine, "%_") == [hostile[1]]
