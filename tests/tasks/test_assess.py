"""What only time shows: silence, lag, a token that will expire, a quarantine that stays empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, TokenError
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.health import WARNING
from blocks.source import OnePasswordSource
from blocks.store import health, pages, run_health, sources, streams
from tasks.assess import assess_block

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAY = 86_400
DAY_NS = DAY * 10**9


def block(token: str = "no-jwt", **members: Any) -> OnePasswordSource:  # noqa: S107 - made up
    return OnePasswordSource(
        name=SOURCE.name,
        credentials=OnePasswordCredentials(base_url=SOURCE.base_url, api_token=SecretStr(token)),
        supported_apis=["sign-in", "itemUsage", "audit"],
        source_id=SOURCE.id,
        **members,
    )


def token_for(seconds: float) -> str:
    return jwt.encode({"exp": clock.now() + seconds}, "a key of thirty-two bytes or more!!", algorithm="HS256")


def drain(engine: Engine, api: Api, *rejected: InvalidItem, event: bool = False) -> None:
    """A complete drain at this moment, with one event of this moment or none."""
    now_ns = clock.now_ns()
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (api,))[0], "run")
    assert claim
    view = streams.get(engine, claim.stream_id)
    events = [Event(str(now_ns), now_ns, "{}")] if event else []
    page = Page(f"c{now_ns}", has_more=False, events=events, invalid_items=list(rejected))
    pages.commit_page(engine, claim, page, after=view.cursor, api_version="v2")
    quiet_ns = now_ns - view.newest_ns if event and view.newest_ns else None
    streams.record_drain(engine, claim, now_ns, streams.DrainStats(0, quiet_ns))


def drain_all(engine: Engine, *events_of: Api) -> None:
    for api in Api:
        drain(engine, api, event=api in events_of)


def reported(engine: Engine, source: OnePasswordSource) -> list[tuple[str, str]]:
    """What is new after one more look."""
    assess_block(source, engine)
    events = health.unpublished(engine, SOURCE.id)
    health.mark_published(engine, events)
    return [(event.name, event.tracker) for event in events]


@pytest.fixture
def drained(engine: Engine, moving: MovingClock) -> Engine:
    sources.save(engine, SOURCE)
    drain_all(engine, *Api)
    return engine


def test_a_source_that_is_well_reports_nothing(drained: Engine) -> None:
    assert reported(drained, block(token_for(15 * DAY))) == []


def test_a_token_that_will_expire_is_reported_at_14_at_7_at_1_and_when_it_has(
    drained: Engine, moving: MovingClock
) -> None:
    expiring = block(token_for(15 * DAY), silence_after="off", lag_after="off")
    found: list[tuple[float, str]] = []
    for hour in range(6, 16 * 24 + 1, 6):
        moving.advance(6 * 3600)
        for _ in reported(drained, expiring):
            (last,) = [event.description for event in _all(drained)][-1:]
            found.append((hour, last))
    assert [text for _, text in found] == [
        "The token expires in less than 14 days.",
        "The token expires in less than 7 days.",
        "The token expires in less than 1 day.",
        "The token has expired.",
    ]
    assert [hour // 24 for hour, _ in found] == [1, 8, 14, 15]
    assert reported(drained, block(token_for(90 * DAY), silence_after="off", lag_after="off")) == [
        ("Recovered", "token")
    ]


def _all(engine: Engine) -> list[health.HealthEvent]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM health_events ORDER BY id")).all()
    return [health._event(row) for row in rows]


def test_an_api_without_events_for_a_day_is_silent_and_its_bound_grows_with_what_is_usual(
    drained: Engine, moving: MovingClock
) -> None:
    source = block()
    moving.advance(DAY - 10)
    drain_all(drained, Api.SIGN_IN)
    assert reported(drained, source) == []
    moving.advance(20)
    drain_all(drained, Api.SIGN_IN)
    assert reported(drained, source) == [("Silence", "silence/itemUsage"), ("Silence", "silence/audit")]
    moving.advance(DAY)
    drain_all(drained, *Api)
    assert reported(drained, source) == [("Recovered", "silence/itemUsage"), ("Recovered", "silence/audit")]
    moving.advance(2.9 * DAY)  # it was silent for two days before, so three are the bound now
    drain_all(drained, Api.SIGN_IN)
    assert reported(drained, source) == []
    moving.advance(0.2 * DAY)
    drain_all(drained, Api.SIGN_IN)
    assert reported(drained, source) == [("Silence", "silence/itemUsage"), ("Silence", "silence/audit")]


def test_a_bound_of_its_own_rules_for_each_api(drained: Engine, moving: MovingClock) -> None:
    source = block(silence_after="sign-in=3h, itemUsage=off")
    moving.advance(4 * 3600)
    drain_all(drained)
    assert reported(drained, source) == [("Silence", "silence/sign-in")]
    moving.advance(300 * DAY)
    drain_all(drained)
    assert reported(drained, source) == [("Silence", "silence/audit")]
    assert reported(drained, block(silence_after="off")) == [
        ("Recovered", "silence/sign-in"),
        ("Recovered", "silence/audit"),
    ]


def test_an_api_that_is_not_read_to_its_end_is_late_and_not_silent(drained: Engine, moving: MovingClock) -> None:
    moving.advance(3601)
    drain(drained, Api.SIGN_IN)
    drain(drained, Api.AUDIT)
    assert reported(drained, block()) == [("Lag", "lag/itemUsage")]
    moving.advance(2 * DAY)
    drain(drained, Api.SIGN_IN, event=True)
    drain(drained, Api.AUDIT, event=True)
    assert reported(drained, block()) == []
    drain(drained, Api.ITEM_USAGE, event=True)
    assert reported(drained, block()) == [("Recovered", "lag/itemUsage")]


def test_an_api_in_error_is_neither_late_nor_well(drained: Engine, moving: MovingClock) -> None:
    claim = streams.acquire(drained, streams.of_source(drained, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.stop(drained, claim, ThirdPartyConfigError("No."), "f")
    moving.advance(2 * 3600)
    drain(drained, Api.SIGN_IN)
    drain(drained, Api.ITEM_USAGE)
    assert reported(drained, block()) == [("ThirdPartyConfigError", "error/audit")]


def test_an_error_of_the_whole_source_is_over_once_no_api_is_in_error(drained: Engine) -> None:
    for api in Api:
        claim = streams.acquire(drained, streams.of_source(drained, SOURCE.id, (api,))[0], "run")
        assert claim
        streams.stop(drained, claim, TokenError("No."), "f")
    assert reported(drained, block()) == [("ThirdPartyConfigError", "error")]
    streams.restart(drained, SOURCE.id)
    drain_all(drained)
    assert reported(drained, block()) == [("Recovered", "error")]


def test_a_run_that_works_ends_what_was_judged_from_outside(drained: Engine, moving: MovingClock) -> None:
    moving.advance(2 * 3600)
    run_health.update_conditions(drained)
    drain_all(drained, *Api)
    assert ("Recovered", "runs") in reported(drained, block())
    assert health.open_conditions(drained, SOURCE.id) == {}


def test_a_quarantine_is_over_after_a_day_without(drained: Engine, moving: MovingClock) -> None:
    source = block(silence_after="off", lag_after="off")
    drain(drained, Api.AUDIT, InvalidItem("no uuid", b"1"))
    assert reported(drained, source) == [("EventsQuarantined", "quarantine/audit")]
    moving.advance(DAY - 10)
    assert reported(drained, source) == []
    moving.advance(20)
    assert reported(drained, source) == [("Recovered", "quarantine/audit")]


def test_a_source_that_was_never_read_to_its_end_is_neither(engine: Engine, moving: MovingClock) -> None:
    sources.save(engine, SOURCE)
    moving.advance(30 * DAY)
    assert reported(engine, block()) == []


def collected(engine: Engine, *spans_of_audit: tuple[float, float], first_days_ago: float = 100) -> None:
    """A source that has collected for so many days, of audit events only these spans (in days ago)."""
    now_ns = clock.now_ns()
    insert = text("INSERT INTO collected_spans (stream_id, start_ns, end_ns) VALUES (:stream, :start, :end)")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM collected_spans"))
        for row in connection.execute(text("SELECT id, api FROM streams")).all():
            spans = spans_of_audit if row.api == "audit" else ((first_days_ago, 0),)
            for start, end in spans:
                bounds = {"start": now_ns - int(start * DAY_NS), "end": now_ns - int(end * DAY_NS)}
                connection.execute(insert, {"stream": row.id, **bounds})
        connection.execute(text("UPDATE streams SET read_from_ns = :start"), {"start": now_ns - int(100 * DAY_NS)})


QUIET = {"silence_after": "off", "lag_after": "off"}


def on_the_day(engine: Engine, moving: MovingClock, day: float) -> list[tuple[str, str]]:
    """What is reported on a day after `START_NS`, of a source that has collected until then."""
    moving.advance(START_NS / 1e9 + day * DAY - clock.now())
    with engine.begin() as connection:
        connection.execute(text("UPDATE streams SET drained_ns = :now"), {"now": clock.now_ns()})
        newest = "SELECT max(end_ns) FROM collected_spans AS s WHERE s.stream_id = collected_spans.stream_id"
        connection.execute(
            text(f"UPDATE collected_spans SET end_ns = :now WHERE end_ns = ({newest})"), {"now": clock.now_ns()}
        )
    return reported(engine, block(**QUIET))


def test_a_gap_is_reported_14_days_before_it_is_dropped_and_once_it_is_lost(
    drained: Engine, moving: MovingClock
) -> None:
    collected(drained, (100, 90), (88, 0))
    assert on_the_day(drained, moving, 120 - 90 - 14 - 0.01) == []
    assert on_the_day(drained, moving, 120 - 90 - 14 + 0.01) == [("Gap", "gap/audit")]
    (event,) = [event for event in _all(drained) if event.name == "Gap"]
    start, end = "2026-06-23T14:13:20Z", "2026-06-25T14:13:20Z"
    assert event.sentence == (
        f"audit was not collected from {start} to {end}. 1Password deletes these events from 2026-10-21T14:13:20Z on. "
        "Fetch them in time: "
        f"`onepassword-source backfill 1Pass --start {start} --end {end} --api audit`."
    )
    assert (event.severity, event.api) == (WARNING, "audit")
    assert on_the_day(drained, moving, 120 - 88 - 0.01) == []  # a part is gone, and there is still something to fetch
    assert on_the_day(drained, moving, 120 - 88 + 0.01) == [("GapLost", "gap/audit")]
    assert on_the_day(drained, moving, 120 - 88 + 3.9) == []
    assert on_the_day(drained, moving, 120 - 88 + 4.1) == [("Recovered", "gap/audit")]
    assert on_the_day(drained, moving, 300) == []


def test_a_gap_that_was_closed_in_time_is_over(drained: Engine, moving: MovingClock) -> None:
    collected(drained, (100, 90), (88, 0))
    assert on_the_day(drained, moving, 20) == [("Gap", "gap/audit")]
    with drained.begin() as connection:
        now_ns = clock.now_ns()
        bounds = {"start": START_NS - 91 * DAY_NS, "end": START_NS - 87 * DAY_NS, "now": now_ns, "source": SOURCE.id}
        connection.execute(
            text(
                "INSERT INTO jobs (id, kind, source_id, start_ns, end_ns, apis, created_ns) "
                "VALUES ('j', 'backfill', :source, :start, :end, '[]', :now)"
            ),
            bounds,
        )
        window = (
            "INSERT INTO windows (job_id, stream_id, start_ns, end_ns, begun_ns, done_ns) "
            "SELECT 'j', id, :start, :end, :now, :now FROM streams WHERE api = 'audit'"
        )
        connection.execute(text(window), bounds)
    assert on_the_day(drained, moving, 20.1) == [("Recovered", "gap/audit")]
    assert "no longer about to delete a gap of audit" in _all(drained)[-1].description


def test_two_gaps_that_will_be_dropped_are_reported_one_after_the_other(drained: Engine, moving: MovingClock) -> None:
    collected(drained, (100, 90), (89, 87), (86, 0))
    assert on_the_day(drained, moving, 20) == [("Gap", "gap/audit")]
    assert on_the_day(drained, moving, 31.1) == [("Gap", "gap/audit")]  # the first is lost, and the second comes first
    assert on_the_day(drained, moving, 34.1) == [("GapLost", "gap/audit")]


def test_time_before_the_start_is_never_reported(drained: Engine, moving: MovingClock) -> None:
    collected(drained, (100, 0))
    assert [on_the_day(drained, moving, day) for day in range(0, 130, 5)] == [[]] * 26


def test_an_event_of_the_future_hides_no_silence(drained: Engine, moving: MovingClock) -> None:
    source = block(silence_after="1h")
    assert reported(drained, source) == []
    claim = streams.acquire(drained, streams.of_source(drained, SOURCE.id, (Api.SIGN_IN,))[0], "run")
    assert claim
    view = streams.get(drained, claim.stream_id)
    page = Page(
        "future", has_more=False, events=[Event("F", clock.now_ns() + 5 * 365 * DAY_NS, "{}")], invalid_items=[]
    )
    pages.commit_page(drained, claim, page, after=view.cursor, api_version="v2")
    streams.release(drained, claim)
    moving.advance(3601)
    drain_all(drained)
    assert sorted(reported(drained, source)) == [
        ("EventsInFuture", "future/sign-in"),
        *(("Silence", f"silence/{api}") for api in sorted(Api)),
    ]
    drain_all(drained)
    assert reported(drained, source) == [], "each once"
    moving.advance(DAY)
    drain_all(drained)
    assert reported(drained, source) == [("Recovered", "future/sign-in")]
