"""The table of fields, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.store import fields
from blocks.store.engine import open_engine
from blocks.store.fields import BUILT_IN, DroppedField, KnownField

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord


def own(engine: Engine) -> list[KnownField]:
    return [field for field in fields.all_fields(engine) if not field.built_in]


def test_a_new_store_knows_the_built_in_ones(engine: Engine) -> None:
    assert fields.all_fields(engine) == [KnownField(name, enabled=True, built_in=True) for name in BUILT_IN]
    assert "_siemForward" in BUILT_IN


def test_added_once_and_switched(engine: Engine) -> None:
    assert fields.create(engine, ["team", "region", "team", "_siemForward"]) == ("team", "region")
    assert fields.set_enabled(engine, ["team"], enabled=False) == ("team",)
    assert fields.set_enabled(engine, ["team", "_parser", "region"], enabled=True) == ("team",)
    assert fields.set_enabled(engine, ["team"], enabled=False) == ("team",)
    assert fields.create(engine, ["team"]) == ()
    assert own(engine) == [KnownField("region", enabled=True), KnownField("team", enabled=False)]


def test_metadata_keeps_what_exists_and_is_enabled(engine: Engine) -> None:
    fields.create(engine, ["team", "region"])
    fields.set_enabled(engine, ["region"], enabled=False)
    configured = {"_siemForward": True, "team": "blue", "region": "eu", "Team": 1, "floor": 3, "_siemforward": "x"}
    found = fields.filter_fields(engine, configured)
    assert found.kept == {"_siemForward": True, "team": "blue"}
    assert found.dropped == (
        DroppedField("region", "disabled"),
        DroppedField("Team", "unknown", "team"),
        DroppedField("floor", "unknown"),
        DroppedField("_siemforward", "unknown", "_siemForward"),
    )
    assert fields.dropped_fields(engine, configured) == found.dropped


@pytest.mark.parametrize(
    ("one", "remedy"),
    [
        (DroppedField("floor", "unknown"), "Add it with: onepassword-source fields add floor"),
        (DroppedField("floor", "disabled"), "Enable it with: onepassword-source fields enable floor"),
        (DroppedField("Team", "unknown", "team"), "The known field is team: use this name."),
        (
            DroppedField("a b", "unknown"),
            "It cannot be added: a field's name can have only the letters A to Z, digits and _.",
        ),
        (DroppedField("x" * 256, "unknown"), "It cannot be added: it has 256 characters, and Sumo Logic allows 255."),
    ],
)
def test_a_dropped_field_says_what_to_do(one: DroppedField, remedy: str) -> None:
    assert one.sentence.endswith(f"so it is dropped when events are forwarded. {remedy}")


WRONG = ["team", "Team", "a b", "x" * 256, "", "Größe", "_SIEMFORWARD", "zone", "ZONE", "a\n"]


def test_wrong_names_are_reported_all_at_once_and_nothing_is_added(engine: Engine) -> None:
    fields.create(engine, ["team"])
    with pytest.raises(ThirdPartyConfigError) as raised:
        fields.create(engine, WRONG)
    message = str(raised.value)
    assert message.startswith("8 fields are invalid:\n")
    assert '"Team" differs from team only in case: use team.' in message
    assert '"_SIEMFORWARD" differs from _siemForward only in case: use _siemForward.' in message
    assert '"ZONE" differs from zone only in case: use zone.' in message
    assert '"Größe" cannot be added' in message
    assert '"a\\n" cannot be added' in message
    assert own(engine) == [KnownField("team", enabled=True)]


def test_switching_reports_all_problems_at_once_and_changes_nothing(engine: Engine) -> None:
    fields.create(engine, ["team"])
    with pytest.raises(ThirdPartyConfigError) as raised:
        fields.set_enabled(engine, ["team", "_siemForward", "taem", "TEAM", "\x1b[2J"], enabled=False)
    message = str(raised.value)
    assert "_siemForward is built in and cannot be disabled." in message
    assert 'There is no field "taem". Did you mean team?' in message
    assert 'There is no field "TEAM". Did you mean team?' in message
    assert "\x1b" not in message
    assert own(engine) == [KnownField("team", enabled=True)]


def test_those_of_all_sources_that_the_store_knows(engine: Engine, source: SourceRecord) -> None:
    assert fields.dropped_by_source(engine) == {source.id: (DroppedField("team", "unknown"),)}
    fields.create(engine, ["team"])
    assert fields.dropped_by_source(engine) == {source.id: ()}


def test_two_at_once_do_not_add_names_that_differ_in_case_alone(store_url: str) -> None:
    def attempt(number: int) -> int:
        engine = open_engine(store_url)
        try:
            return len(fields.create(engine, ["team" if number % 2 else "Team"]))
        except ThirdPartyConfigError:
            return 0
        finally:
            engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
