"""What commands that only read show of sources, on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.health import ERROR, WARNING, Condition
from blocks.store import health, source_status, sources, streams

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

pytestmark = pytest.mark.usefixtures("moving")

HOUR_NS = 3600 * 10**9
OTHER = replace(SOURCE, id="2" * 32, name="2Pass", fingerprint="second")


def add_events(engine: Engine, stream_id: int, *times_ns: int) -> None:
    rows = [{"s": stream_id, "u": f"event-{ns}", "t": ns} for ns in times_ns]
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, 0, '{}')"), rows
        )


def count_hours(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM hourly_counts"))
        connection.execute(
            text(
                "INSERT INTO hourly_counts SELECT stream_id, time_ns / :hour, count(*) FROM events "
                "GROUP BY stream_id, time_ns / :hour"
            ),
            {"hour": HOUR_NS},
        )


@pytest.mark.parametrize("past_the_hour_ns", [0, 1, 20 * 60 * 10**9, HOUR_NS - 1])
def test_the_pace_is_exact_and_its_hours_are_those_of_the_clock(
    engine: Engine, claim: StreamClaim, past_the_hour_ns: int
) -> None:
    hour_ns = START_NS // HOUR_NS * HOUR_NS
    now_ns = hour_ns + past_the_hour_ns
    day_ns = now_ns - 24 * HOUR_NS
    times = {
        day_ns - 1,
        day_ns,
        day_ns + 1,
        hour_ns - 20 * HOUR_NS,
        hour_ns - HOUR_NS,
        now_ns - HOUR_NS - 1,
        now_ns - 9,
    }
    add_events(engine, claim.stream_id, *times)
    add_events(engine, claim.stream_id + 1, hour_ns)
    count_hours(engine)
    all_of_them = source_status.event_counts(engine, source_status.sources(engine)[0].streams, now_ns)
    assert min(pace.last_day for pace in all_of_them.values()) == 0
    found = all_of_them[claim.stream_id]
    assert found.last_hour == sum(now_ns - HOUR_NS <= at < now_ns for at in times)
    assert found.last_day == sum(day_ns <= at < now_ns for at in times)
    starts = [hour_ns - ago * HOUR_NS for ago in range(23, -1, -1)]
    assert found.hourly == tuple(sum(start <= at < start + HOUR_NS for at in times) for start in starts)


def test_deleted_sources_are_left_out_unless_named(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    sources.save(engine, OTHER)
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET deleted_ns = 7 WHERE name = '2Pass'"))
        connection.execute(text("UPDATE sources SET paused_ns = 8 WHERE name = '1Pass'"))
    assert [(one.name, one.paused_ns) for one in source_status.sources(engine)] == [("1Pass", 8)]
    assert source_status.sources(engine, "2Pass")[0].deleted_ns == 7
    with pytest.raises(ThirdPartyConfigError, match="there are: 1Pass"):
        source_status.sources(engine, "3Pass")


def test_what_is_open_comes_with_what_to_do_and_errors_first(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    sources.save(engine, OTHER)
    token = Condition("token", "TokenExpires", WARNING, "In 14 days.", value="14", hint="Renew it.")
    error = Condition("error/audit", "ThirdPartyConfigError", ERROR, "Refused.", "audit")
    health.update_conditions(engine, SOURCE.id, [token], [])
    health.update_conditions(engine, OTHER.id, [replace(token, hint="Another's.")], [])
    moving.advance(60)
    health.update_conditions(
        engine, SOURCE.id, [replace(token, description="In 7 days.", value="7", hint="Renew now."), error], []
    )
    first, second = source_status.sources(engine, "1Pass")[0].open
    assert first == source_status.OpenCondition(
        "error/audit", "ThirdPartyConfigError", ERROR, "Refused.", None, START_NS + 60 * 10**9
    )
    assert first.sentence == "Refused."
    assert second == source_status.OpenCondition("token", "TokenExpires", WARNING, "In 7 days.", "Renew now.", START_NS)
    assert second.sentence == "In 7 days. Renew now."
    assert [one.hint for one in source_status.sources(engine, "2Pass")[0].open] == ["Another's."]


def test_the_last_recovery_from_an_error_is_known(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    def over(tracker: str) -> Condition:
        return Condition(tracker, "Recovered", WARNING, "Over.")

    assert source_status.sources(engine)[0].recovered_ns is None
    trackers = ("error/audit", "error", "lag/audit")
    health.update_conditions(engine, SOURCE.id, [Condition(one, "Lag", WARNING, "So.") for one in trackers], [])
    for tracker in trackers:
        moving.advance(1)
        health.update_conditions(engine, SOURCE.id, [], [over(tracker)])
    assert source_status.sources(engine)[0].recovered_ns == START_NS + 2 * 10**9


def test_an_error_that_is_soon_over_is_not_forgotten(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    """It is no health event, but since then alone is the source healthy."""
    streams.recover(engine, claim)
    assert source_status.sources(engine)[0].recovered_ns is None  # nothing was in the way
    streams.record_failure(engine, claim, ThirdPartyGenericError("Slow."))
    moving.advance(60)
    streams.recover(engine, claim)
    over_ns = START_NS + 60 * 10**9
    assert source_status.sources(engine)[0].recovered_ns == over_ns
    moving.advance(60)
    streams.record_drain(engine, claim, clock.now_ns())
    assert source_status.sources(engine)[0].recovered_ns == over_ns


def test_both_lags_are_known(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    streams.record_drain(engine, claim, clock.now_ns(), streams.DrainStats(lag_ns=90 * 10**9))
    moving.advance(30)
    found = {stream.api: stream for stream in source_status.sources(engine)[0].streams}
    assert (found[Api.AUDIT].lag_ns, found[Api.AUDIT].collector_lag_ns) == (90 * 10**9, 30 * 10**9)
    assert (found[Api.SIGN_IN].lag_ns, found[Api.SIGN_IN].collector_lag_ns) == (None, None)
    moving.advance(-60)
    assert found[Api.AUDIT].collector_lag_ns == 0
