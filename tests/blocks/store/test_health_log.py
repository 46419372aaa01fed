"""Health events as commands read them, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.health import HEALTHY, WARNING, Condition
from blocks.store import health, health_log, sources

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.usefixtures("moving")

OTHER = replace(SOURCE, id="2" * 32, name="2Pass", fingerprint="second")
SECOND_NS = 10**9
LAG = Condition("lag/audit", "Lag", WARNING, "Late.", "audit", hint="Look.", error_type="T", error_code="c")
OVER = replace(LAG, name="Recovered", description="In time.")


@pytest.fixture
def two(engine: Engine) -> Engine:
    sources.save(engine, SOURCE)
    sources.save(engine, OTHER)
    return engine


def test_events_come_oldest_first_and_say_whether_they_are_still_so(two: Engine, moving: MovingClock) -> None:
    for found, over in (([LAG], []), ([], [OVER]), ([LAG], [])):
        health.update_conditions(two, SOURCE.id, found, over)
        moving.advance(1)
    logged = health_log.events_since(two, None, since_ns=0)
    assert [(one.event.name, one.open) for one in logged] == [("Lag", False), ("Recovered", False), ("Lag", True)]
    assert [one.event for one in logged] == health.unpublished(two, SOURCE.id)
    assert health_log.events_since(two, None, since_ns=START_NS + SECOND_NS) == logged[1:]
    assert health_log.events_since(two, None, since_ns=0, after_id=logged[1].id) == logged[2:]


def test_an_event_that_was_added_late_stands_at_its_time(two: Engine, moving: MovingClock) -> None:
    health.update_conditions(two, SOURCE.id, [LAG], [])
    (late,) = health.unpublished(two, SOURCE.id)
    health.save_published(two, [(replace(late, event_id="earlier", time_ns=START_NS - 1), "")])
    assert [one.event.event_id for one in health_log.events_since(two, None, since_ns=0)] == ["earlier", late.event_id]


def test_events_of_one_source(two: Engine) -> None:
    health.update_conditions(two, SOURCE.id, [LAG], [])
    health.update_conditions(two, OTHER.id, [LAG], [])
    health.update_conditions(two, OTHER.id, [], [OVER])
    ids = health_log.source_ids(two, "1Pass")
    assert ids == [SOURCE.id]
    assert health_log.source_ids(two, None) is None
    assert [(one.event.source_name, one.open) for one in health_log.events_since(two, ids, since_ns=0)] == [
        ("1Pass", True)
    ]
    assert not any(one.open for one in health_log.events_since(two, [OTHER.id], since_ns=0))
    later_ns = START_NS + SECOND_NS
    assert health_log.events_before(two, ids, later_ns) == health_log.OlderEvents(1, START_NS)
    assert health_log.events_before(two, None, later_ns) == health_log.OlderEvents(3, START_NS)
    assert health_log.events_before(two, None, START_NS) == health_log.OlderEvents(0, None)


def test_what_is_open_stays_so_through_good_news_under_its_name(two: Engine) -> None:
    with two.begin() as connection:
        health.begin(connection, SOURCE.id, LAG)
        health.report(connection, SOURCE.id, replace(LAG, name="ScopeGained"), status=HEALTHY)
    logged = health_log.events_since(two, None, since_ns=0)
    assert [(one.event.name, one.open) for one in logged] == [("Lag", True), ("ScopeGained", False)]


def test_a_name_is_that_of_the_source_that_has_it_now(two: Engine) -> None:
    health.update_conditions(two, SOURCE.id, [LAG], [])
    with two.begin() as connection:
        for id_, name in ((SOURCE.id, "Old"), (OTHER.id, "1Pass")):
            connection.execute(text("UPDATE sources SET name = :name WHERE id = :id"), {"name": name, "id": id_})
    assert health_log.source_ids(two, "1Pass") == [OTHER.id]


def test_a_source_that_is_gone_is_found_by_its_events(two: Engine) -> None:
    health.update_conditions(two, OTHER.id, [LAG], [])
    with two.begin() as connection:
        connection.execute(text("DELETE FROM streams WHERE source_id = :id"), {"id": OTHER.id})
        connection.execute(text("DELETE FROM sources WHERE id = :id"), {"id": OTHER.id})
    assert health_log.source_ids(two, "2Pass") == [OTHER.id]
    with pytest.raises(ThirdPartyConfigError, match="named '3Pass' in the store; there are: 1Pass"):
        health_log.source_ids(two, "3Pass")
