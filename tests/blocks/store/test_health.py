"""A change of health is one event, written with its description; what goes on makes no other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError, TokenError
from blocks.events_api.models import Api, Drift, Event, InvalidItem, Page
from blocks.health import ERROR, UNHEALTHY, WARNING, Condition, HealthEvent, error_condition
from blocks.health_event_kinds import NAMES
from blocks.store import health, pages, sources, streams
from blocks.store.engine import writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

AUDIT_SCOPES = frozenset({"auditevents"})
LATE = Condition("lag/audit", "Lag", WARNING, "audit is late.", "audit")


def reported(engine: Engine) -> list[tuple[str, str, str, str]]:
    return [(e.name, e.severity, e.status, e.tracker) for e in health.unpublished(engine, SOURCE.id)]


def names(engine: Engine) -> list[str]:
    return [event.name for event in health.unpublished(engine, SOURCE.id)]


def settle(engine: Engine, *found: Condition, over: tuple[Condition, ...] = ()) -> None:
    health.update_conditions(engine, SOURCE.id, found, over)


def test_a_condition_is_reported_when_it_begins_when_it_changes_and_when_it_ends(
    engine: Engine, source: SourceRecord
) -> None:
    settle(engine, LATE)
    settle(engine, LATE)
    settle(engine, replace(LATE, value="worse", severity=ERROR))
    ended = replace(LATE, description="audit is on time again.")
    settle(engine, over=(ended,))
    settle(engine, over=(ended,))
    assert reported(engine) == [
        ("Lag", "Warning", "UnHealthy", "lag/audit"),
        ("Lag", "Error", "UnHealthy", "lag/audit"),
        ("Recovered", "Error", "Healthy", "lag/audit"),
    ]
    settle(engine, LATE)
    assert names(engine)[-1] == "Lag", "what begins again is reported again"


def test_where_nothing_changes_nothing_is_written(engine: Engine, source: SourceRecord) -> None:
    settle(engine, LATE)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(" ".join(statement.split()[:2]))

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    settle(engine, LATE, over=(replace(LATE, tracker="silence/audit"),))
    assert {one for one in statements if not one.startswith("SELECT")} <= {"BEGIN"}
    settle(engine, over=(LATE,))
    assert "DELETE FROM" in statements


def test_an_event_is_read_back_as_it_was_made(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    error = ThirdPartyConfigError("The token is refused.", hint="Make another.", code="401")
    streams.stop(engine, claim, error, "f")
    (event,) = health.unpublished(engine, SOURCE.id)
    made = HealthEvent.from_condition(error_condition(error, ERROR, "audit"), SOURCE.id, SOURCE.name)
    assert event == replace(made, event_id=event.event_id)
    assert event.name in NAMES


def test_an_error_is_reported_after_a_tick_and_again_when_its_stream_is_given_up(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    error = ThirdPartyGenericError("It answered 503.", code="503")
    streams.record_failure(engine, claim, error)
    moving.advance(299)
    streams.record_failure(engine, claim, error)
    assert reported(engine) == []
    moving.advance(2)
    streams.record_failure(engine, claim, error)
    moving.advance(60)
    streams.record_failure(engine, claim, ThirdPartyGenericError("It took too long.", code="timeout"))
    streams.stop(engine, claim, error, "f")
    assert [(severity, tracker) for _, severity, _, tracker in reported(engine)] == [
        ("Warning", "error/audit"),
        ("Error", "error/audit"),
    ]
    assert health.open_conditions(engine, SOURCE.id) == {"error/audit": moving.now_ns() - 361 * 10**9}


def test_a_committed_page_or_a_complete_drain_ends_an_error(engine: Engine, claim: StreamClaim) -> None:
    for heal in (
        lambda stream_claim: streams.recover(engine, stream_claim),
        lambda stream_claim: streams.record_drain(engine, stream_claim, clock.now_ns()),
    ):
        stream_claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run-1")
        assert stream_claim
        streams.stop(engine, stream_claim, ThirdPartyConfigError("No."), "f")
        again = streams.acquire(engine, streams.get(engine, stream_claim.stream_id), "run-1")
        assert again
        heal(again)
        assert names(engine)[-2:] == ["ThirdPartyConfigError", "Recovered"]
        assert health.open_conditions(engine, SOURCE.id) == {}


@pytest.mark.parametrize("error", [TokenError("Refused.", code="401"), FirstPartyGenericError("Full.", code="store")])
def test_what_concerns_the_whole_source_is_reported_once_for_all_its_apis(
    engine: Engine, source: SourceRecord, error: ThirdPartyConfigError
) -> None:
    for view in streams.of_source(engine, SOURCE.id, SOURCE.apis):
        stream_claim = streams.acquire(engine, view, "run-1")
        assert stream_claim
        streams.stop(engine, stream_claim, error, "f")
    assert reported(engine) == [(error.name, "Error", "UnHealthy", "error")]


def test_a_stream_that_was_restarted_in_vain_reports_nothing_new(engine: Engine, claim: StreamClaim) -> None:
    streams.stop(engine, claim, ThirdPartyConfigError("No."), "f")
    streams.restart(engine, SOURCE.id)
    stream_claim = streams.acquire(engine, streams.get(engine, claim.stream_id), "run-2")
    assert stream_claim
    streams.stop(engine, stream_claim, ThirdPartyConfigError("No."), "f")
    assert names(engine) == ["ThirdPartyConfigError"]


def test_a_write_that_is_rolled_back_reports_nothing(engine: Engine, claim: StreamClaim) -> None:
    with suppress(ZeroDivisionError), writing(engine) as connection:
        health.begin(connection, SOURCE.id, LATE)
        1 / 0  # noqa: B018 - a crash before the commit
    assert names(engine) == []
    assert health.open_conditions(engine, SOURCE.id) == {}


def test_a_rejected_cursor_is_reported_and_ends_with_the_next_drain(engine: Engine, claim: StreamClaim) -> None:
    streams.drop_cursor(engine, claim, ThirdPartyConfigError("400.", code="400"))
    streams.record_drain(engine, claim, clock.now_ns())
    assert reported(engine) == [
        ("CursorRejected", "Warning", "UnHealthy", "cursor/audit"),
        ("Recovered", "Warning", "Healthy", "cursor/audit"),
    ]


def test_a_drain_without_a_cursor_does_not_forget_that_one_was_rejected(engine: Engine, claim: StreamClaim) -> None:
    streams.drop_cursor(engine, claim, ThirdPartyConfigError("400.", code="400"))
    streams.record_drain(engine, claim, clock.now_ns(), by_cursor=False)
    assert streams.get(engine, claim.stream_id).cursor_dropped_ns
    assert names(engine) == ["CursorRejected"]


def test_a_cursor_dropped_for_another_api_version_is_no_change_of_health(engine: Engine, claim: StreamClaim) -> None:
    streams.drop_cursor(engine, claim)
    assert names(engine) == []


def page(cursor: str, *rejected: InvalidItem, unknown: tuple[Drift, ...] = ()) -> Page:
    event = Event(f"E{cursor}", 0, f'{{"uuid": "E{cursor}"}}')
    return Page(cursor, has_more=False, events=[event], invalid_items=list(rejected), unknown=unknown)


def commit(engine: Engine, claim: StreamClaim, *shown: Page) -> None:
    after = streams.get(engine, claim.stream_id).cursor
    for one in shown:
        pages.commit_page(engine, claim, one, after=after, api_version="v2")
        after = one.cursor


def test_quarantined_items_are_reported_once_and_again_for_a_new_reason(engine: Engine, claim: StreamClaim) -> None:
    commit(
        engine,
        claim,
        page("1", InvalidItem("no uuid", b"1")),
        page("2", InvalidItem("no uuid", b"2")),
        page("3", InvalidItem("not valid JSON: at 7", b"3")),
        page("4", InvalidItem("not valid JSON: at 8", b"4"), InvalidItem("no uuid", b"5")),
        page("5"),
    )
    assert reported(engine) == [("EventsQuarantined", "Warning", "UnHealthy", "quarantine/audit")] * 2
    texts = [event.description for event in health.unpublished(engine, SOURCE.id)]
    assert texts[1] == "Items of audit cannot be stored as events: not valid JSON."


def test_each_undocumented_value_is_reported_once(engine: Engine, claim: StreamClaim) -> None:
    member, value = Drift("member", "client.chip", ""), Drift("value", "action", "beam")
    commit(engine, claim, page("1", unknown=(member,)), page("2", unknown=(member, value)), page("3", unknown=(value,)))
    assert names(engine) == ["UnknownMember", "UnknownValue"]
    texts = [event.description for event in health.unpublished(engine, SOURCE.id)]
    assert "has the member client.chip," in texts[0]
    assert "has 'beam' as action," in texts[1]


def test_another_account_is_taken_after_it_was_unpinned_and_read_from_a_time(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    commit(engine, claim, page("1"))
    streams.record_drain(engine, claim, clock.now_ns())
    sources.unpin_account(engine, SOURCE.id)
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "B")
    view = streams.get(engine, claim.stream_id)
    assert (view.cursor, view.resume_ns) == (None, None)
    assert rows("SELECT account_uuid FROM sources") == [("B",)]
    assert rows("SELECT count(*) FROM events") == [(1,)]


def test_what_was_published_is_not_published_again(engine: Engine, source: SourceRecord) -> None:
    settle(engine, LATE, replace(LATE, tracker="silence/audit", name="Silence"))
    first, second = health.unpublished(engine, SOURCE.id)
    health.mark_published(engine, [first])
    assert health.unpublished(engine, SOURCE.id) == [second]


def test_what_was_published_without_the_store_is_added_once_and_ends(engine: Engine, source: SourceRecord) -> None:
    condition = error_condition(FirstPartyGenericError("The store did not answer.", code="store"), ERROR)
    members: dict[str, Any] = {"api": None, "time_ns": 5, "tracker": "error", "description": condition.description}
    event = HealthEvent(
        event_id="id", source_id=SOURCE.id, source_name="1Pass", name=condition.name, severity=ERROR,
        status=UNHEALTHY, **members
    )  # fmt: skip
    for _ in range(2):
        health.save_published(engine, [(event, condition.value)])
    assert names(engine) == [], "it was passed on already"
    assert health.open_conditions(engine, SOURCE.id) == {"error": 5}
    settle(engine, condition, over=(Condition("error", "Recovered", WARNING, "It is back."),))
    assert reported(engine) == [("Recovered", "Error", "Healthy", "error")]


def test_runs_side_by_side_report_once(engine: Engine, source: SourceRecord) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: settle(engine, LATE), range(8)))
    assert names(engine) == ["Lag"]


def test_the_pace_of_a_stream_is_kept_and_forgotten_after_five_weeks(engine: Engine, moving: MovingClock) -> None:
    sources.save(engine, SOURCE)
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]

    def quiet_after(stats: streams.DrainStats) -> int | None:
        stream_claim = streams.acquire(engine, view, "run-1")
        assert stream_claim
        streams.record_drain(engine, stream_claim, moving.now_ns(), stats)
        return streams.get(engine, view.id).quiet_ns

    assert quiet_after(streams.DrainStats(7, 100)) == 100
    assert quiet_after(streams.DrainStats(7, 60)) == 100
    assert quiet_after(streams.DrainStats()) == 100
    moving.advance(36 * 86_400)
    assert quiet_after(streams.DrainStats(7, 60)) == 60
