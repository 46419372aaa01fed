"""Whether runs work, judged from outside of them and written to the store, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.ended_runs import end_run
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api, Page
from blocks.health import ERROR, WARNING
from blocks.liveness import RUNS
from blocks.store import (
    health,
    lifecycle,
    pages,
    run_health,
    run_signs,
    sources,
    streams,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]


MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR


def changes(engine: Engine, *, watched_ns: int | None = None) -> list[tuple[str, str, str]]:
    """What is new after one more look, but for the lag that follows."""
    run_health.update_conditions(engine, watched_ns=watched_ns)
    events = health.unpublished(engine, SOURCE.id)
    if events:
        health.mark_published(engine, events)
    return [(event.name, event.severity, event.status) for event in events if event.tracker == RUNS]


BEGUN = ("NotRunning", WARNING, "UnHealthy")
GRAVE = ("NotRunning", ERROR, "UnHealthy")


def over(severity: str) -> tuple[str, str, str]:
    return ("Recovered", severity, "Healthy")


def test_two_missed_ticks_are_a_warning_an_hour_is_an_error_and_a_run_ends_it(ran: Engine, moving: MovingClock) -> None:
    moving.advance(12 * MINUTE)
    assert changes(ran) == []
    moving.advance(1)
    assert changes(ran) == [BEGUN]
    assert changes(ran) == []
    moving.advance(48 * MINUTE)
    assert changes(ran) == [GRAVE]
    moving.advance(10 * DAY)
    assert changes(ran) == []
    end_run(ran)
    assert changes(ran) == [over(ERROR)]
    assert changes(ran) == []


def test_the_sentence_says_what_happened_what_it_means_and_what_to_do(ran: Engine, moving: MovingClock) -> None:
    moving.advance(13 * MINUTE)
    (judgement,) = run_health.update_conditions(ran)
    (condition,) = judgement.active
    assert condition.description == (
        "No run of this source has worked since 2026-09-21T14:13:20Z, and one is due every five minutes. Nothing is "
        "lost while 1Password keeps it (120 days): it is collected when runs work again."
    )
    assert condition.hint == (
        "Start `onepassword-source up`, or look at its terminal where it runs; "
        "`onepassword-source check 1Pass` shows what is wrong."
    )


def test_a_run_that_reads_for_hours_runs(ran: Engine, moving: MovingClock) -> None:
    view = streams.of_source(ran, SOURCE.id, (Api.AUDIT,))[0]
    claim = streams.acquire(ran, view, "run")
    assert claim
    cursor = view.cursor
    for minute in range(0, 300, 5):
        moving.advance(5 * MINUTE)
        page = Page(f"c{minute}", has_more=True, events=[], invalid_items=[])
        pages.commit_page(ran, claim, page, after=cursor, api_version="v2")
        cursor = page.cursor
        assert changes(ran) == []


def test_a_run_that_waits_for_its_next_attempt_runs_until_that_is_due(ran: Engine, moving: MovingClock) -> None:
    claim = streams.acquire(ran, streams.of_source(ran, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_failure(ran, claim, ThirdPartyGenericError("500."))
    streams.renew(ran, claim, for_seconds=HOUR)
    moving.advance(HOUR + 12 * MINUTE)
    assert changes(ran) == []
    moving.advance(1)
    assert changes(ran) == [BEGUN]


def test_a_dead_run_is_no_sign_of_life(ran: Engine, moving: MovingClock) -> None:
    """Its claim, which no run renews, expires."""
    assert streams.acquire(ran, streams.of_source(ran, SOURCE.id, (Api.AUDIT,))[0], "run")
    moving.advance(12 * MINUTE + 1)
    assert changes(ran) == [BEGUN]


def test_what_was_missed_while_no_run_was_possible_begins_nothing_and_ends_nothing(
    ran: Engine, moving: MovingClock
) -> None:
    moving.advance(HOUR + 1)
    assert changes(ran) == [GRAVE]
    started_ns = clock.now_ns()
    assert changes(ran, watched_ns=started_ns) == []
    moving.advance(12 * MINUTE)
    assert changes(ran, watched_ns=started_ns) == []
    moving.advance(1)
    assert changes(ran, watched_ns=started_ns) == []
    with ran.begin() as connection:
        connection.execute(text("DELETE FROM conditions"))
    assert changes(ran, watched_ns=started_ns) == [GRAVE], "as grave as it is, and not as long as it is watched"


def test_a_source_that_has_never_run(engine: Engine, moving: MovingClock) -> None:
    sources.save(engine, SOURCE)
    started_ns = clock.now_ns()
    moving.advance(12 * MINUTE + 1)
    assert changes(engine) == [], "nothing may have been started yet"
    assert changes(engine, watched_ns=started_ns) == [BEGUN], "runs could begin"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM conditions"))
    moving.advance(48 * MINUTE)
    assert changes(engine) == [GRAVE]
    assert "has begun since 2026-09-21T14:13:20Z" in run_signs.judge_all(engine)[0].active[0].description


def test_a_source_that_is_stopped_or_deleted_is_not_due(ran: Engine, moving: MovingClock) -> None:
    moving.advance(13 * MINUTE)
    assert changes(ran) == [BEGUN]
    identity = lifecycle.find(ran, SOURCE.name)
    assert identity
    lifecycle.pause(ran, identity)
    assert changes(ran) == [over(WARNING)]
    moving.advance(DAY)
    assert changes(ran) == []
    lifecycle.resume(ran, identity)
    assert changes(ran) == [], "it is due from now on"
    moving.advance(12 * MINUTE + 1)
    assert changes(ran) == [BEGUN]
    lifecycle.finish_deletion(ran, identity)
    assert changes(ran) == []
    assert run_signs.judge_all(ran) == []
    moving.advance(DAY)
    sources.save(ran, SOURCE, revive=True)
    assert changes(ran) == []
    moving.advance(12 * MINUTE + 1)
    assert changes(ran) == [BEGUN]


def test_a_source_in_its_final_error_is_not_due(ran: Engine, moving: MovingClock) -> None:
    for view in streams.of_source(ran, SOURCE.id, tuple(Api)):
        assert changes(ran) == []
        claim = streams.acquire(ran, view, "run")
        assert claim
        streams.stop(ran, claim, ThirdPartyConfigError("No.", code="401"), SOURCE.fingerprint)
    moving.advance(DAY)
    assert changes(ran) == []
    sources.save(ran, replace(SOURCE, fingerprint="changed"))
    assert changes(ran) == [GRAVE]


def test_a_clock_that_was_set_back_is_no_alarm_and_hides_none(ran: Engine, moving: MovingClock) -> None:
    assert streams.acquire(ran, streams.of_source(ran, SOURCE.id, (Api.AUDIT,))[0], "a run that dies with its claim")
    moving.advance(-DAY)
    assert changes(ran) == []
    back_ns = clock.now_ns()
    moving.advance(12 * MINUTE + 1)
    assert changes(ran) == []
    assert changes(ran, watched_ns=back_ns) == [BEGUN]
    end_run(ran)
    assert changes(ran) == [over(WARNING)]


def test_lag_is_judged_by_the_bound_of_the_source(ran: Engine, moving: MovingClock, rows: Rows) -> None:
    sources.save(ran, replace(SOURCE, lag_after="30m"))
    moving.advance(30 * MINUTE)
    end_run(ran, apis=(Api.AUDIT,))
    run_health.update_conditions(ran)
    opened = "SELECT tracker FROM conditions ORDER BY tracker"
    assert rows(opened) == []
    moving.advance(1)
    run_health.update_conditions(ran, watched_ns=clock.now_ns())
    assert rows(opened) == []
    run_health.update_conditions(ran)
    assert rows(opened) == [("lag/itemUsage",), ("lag/sign-in",)]
    end_run(ran)
    run_health.update_conditions(ran)
    assert rows(opened) == []
    sources.save(ran, replace(SOURCE, lag_after="off"))
    moving.advance(DAY)
    run_health.update_conditions(ran)
    assert rows(opened) == [(RUNS,)]


def test_an_api_in_error_is_not_late(ran: Engine, moving: MovingClock, rows: Rows) -> None:
    claim = streams.acquire(ran, streams.of_source(ran, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_failure(ran, claim, ThirdPartyGenericError("500."))
    moving.advance(HOUR + 1)
    run_health.update_conditions(ran)
    lags = rows("SELECT tracker FROM conditions WHERE tracker LIKE 'lag/%' ORDER BY tracker")
    assert lags == [("lag/itemUsage",), ("lag/sign-in",)]


def test_a_run_that_ended_meanwhile_wins(ran: Engine, moving: MovingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    moving.advance(13 * MINUTE)
    judged = run_health.judge_all

    def and_a_run_ends(engine: Engine, *, watched_ns: int | None = None) -> list[run_health.Judgement]:
        found = judged(engine, watched_ns=watched_ns)
        end_run(engine)
        return found

    monkeypatch.setattr(run_health, "judge_all", and_a_run_ends)
    assert changes(ran) == []
