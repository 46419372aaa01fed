"""Rows of sources: their order, sums and oldest reads, the pairs of each, and why a health is as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.forward_statuses import failing, pair, position
from support.values import SOURCE

from blocks import clock
from blocks.events_api.models import Api, Event, Page
from blocks.health import ERROR, NOT_RUNNING, WARNING
from blocks.store import lifecycle, pages, sources, streams
from blocks.store.forwarding import forward_pairs
from blocks.store.source_health import STATES
from blocks.store.source_status import OpenCondition, SourceStatus, StreamStatus
from deployments.console.source_rows import KINDS, ORDER, SourceRow, find_row, source_rows

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

HOUR_NS = 3600 * 10**9
LIST = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def stream(api: str = "audit", **members: Any) -> StreamStatus:
    unset = dict.fromkeys(
        ("newest_ns", "cursor_ns", "progress_ns", "drained_ns", "claim_expires_ns", "failing_since_ns", "error_type")
    )
    counts = {"id": 1, "events": 0, "quarantined": 0, "error_message": None, "stopped": False}
    return StreamStatus(**{"api": api, **counts, **unset, **members})


def condition(name: str, severity: str, description: str = "It is so.") -> OpenCondition:
    return OpenCondition("runs", name, severity, description, None, since_ns=7)


def row(*found: StreamStatus, apis: tuple[str, ...] | None = None, pairs: Any = (), **members: Any) -> SourceRow:
    given = {"state": "Collected", "state_ns": 5, "message": "3 new events.", **members}
    source = SourceStatus(
        "1" * 32,
        "1Pass",
        "https://events.1password.com",
        None,
        run_id=None,
        streams=found,
        apis=tuple(one.api for one in found) if apis is None else apis,
        **given,
    )
    return SourceRow(source, (), 0, tuple(pairs))


def test_each_health_has_its_place_and_its_kind() -> None:
    assert set(ORDER) == set(KINDS) == set(STATES)
    assert len(ORDER) == len(STATES)


@pytest.mark.parametrize(
    ("made", "health", "kind", "since_ns"),
    [
        (row(stream()), "healthy", "good", None),
        (row(stream(), recovered_ns=9), "healthy", "good", 9),
        (row(stream(stopped=True, failing_since_ns=4)), "in error", "bad", 4),
        (row(stream(), open=(condition(NOT_RUNNING, ERROR),)), "not running", "bad", 7),
        (row(stream(failing_since_ns=3), stream("sign-in", failing_since_ns=2)), "retrying", "warn", 2),
        (row(stream(), state_ns=None), "not run yet", "idle", None),
        (row(stream(), paused_ns=6), "stopped", "idle", 6),
        (row(stream(), deleted_ns=8, paused_ns=6), "deleted", "idle", 8),
    ],
)
def test_a_row_has_its_health_and_since_when(made: SourceRow, health: str, kind: str, since_ns: int | None) -> None:
    assert (made.health, made.kind, made.since_ns) == (health, kind, since_ns)


@pytest.mark.parametrize(
    ("found", "apis", "success_ns"),
    [
        ((), (), None),
        ((stream(drained_ns=5), stream("sign-in", drained_ns=3)), None, 3),
        ((stream(drained_ns=5), stream("sign-in")), None, None),
        ((stream(drained_ns=5), stream("sign-in")), ("audit",), 5),
        ((stream(drained_ns=5), stream("sign-in", drained_ns=3)), ("audit",), 5),
        ((stream(drained_ns=5),), (), None),
        ((stream(drained_ns=0),), None, 0),
    ],
)
def test_the_last_success_is_that_of_the_api_that_is_behind(
    found: tuple[StreamStatus, ...], apis: tuple[str, ...] | None, success_ns: int | None
) -> None:
    assert row(*found, apis=apis).success_ns == success_ns


@pytest.mark.usefixtures("moving")
def test_lags_are_the_largest_and_none_if_none_is_known() -> None:
    assert (row().event_lag_ns, row(stream()).event_lag_ns) == (None, None)
    assert row(stream(lag_ns=5), stream("sign-in", lag_ns=7), stream("itemUsage")).event_lag_ns == 7
    assert row(stream(lag_ns=0)).event_lag_ns == 0
    assert row(stream()).collector_lag_ns is None
    drained = [stream(drained_ns=clock.now_ns() - age) for age in (10, 30)]
    assert row(*drained, stream("itemUsage")).collector_lag_ns == 30


def test_events_and_waiting_events_are_summed() -> None:
    assert row(stream(events=3), stream("sign-in", events=4)).events == 7
    pairs = [pair(position(waiting=5), position(api="sign-in", waiting=6)), pair(position(waiting=7))]
    assert row(pairs=pairs).waiting == 18
    assert (row().events, row().waiting) == (0, 0)


def test_pairs_in_error_are_counted() -> None:
    pairs = [pair(failing(stopped=True)), pair(position()), pair(failing(stopped=True))]
    assert row(pairs=pairs).pairs_in_error == sum(one.in_error for one in pairs) == 2
    assert row(pairs=pairs[1:2]).pairs_in_error == 0


def test_the_reason_is_the_worst_condition_or_what_the_last_run_said() -> None:
    worst = (condition("A", ERROR, "The token is rejected."), condition("B", WARNING, "It lags."))
    assert row(stream(), open=worst).reason == "The token is rejected."
    assert row(stream()).reason == "3 new events."
    assert row(stream(), message="", state_ns=None).reason == "No run has begun yet."
    assert row(stream(), message="").reason == ""
    assert row(stream(), message="It is queued.", state_ns=None).reason == "It is queued."


def save(engine: Engine, name: str, number: int, *, events: int = 0, apis: tuple[Api, ...] = (Api.AUDIT,)) -> None:
    """A source whose events of each API happened an hour apart, the newest now."""
    record = replace(SOURCE, id=str(number) * 32, name=name, fields={"_siemForward": True}, apis=apis)
    sources.save(engine, record)
    for view in streams.of_source(engine, record.id, apis):
        claim = streams.acquire(engine, view, "run")
        assert claim
        found = [Event(f"{name}-{age}", clock.now_ns() - age * HOUR_NS - 1, "{}") for age in range(events)]
        pages.commit_page(
            engine, claim, Page("c", has_more=False, events=found, invalid_items=[]), after=None, api_version="v2"
        )
        streams.record_drain(engine, claim, clock.now_ns())
    sources.save_state(engine, record.id, "Collected", "Done.", "run")


def pause(engine: Engine, name: str) -> None:
    found = lifecycle.find(engine, name)
    assert found
    lifecycle.pause(engine, found)


@LIST
def test_what_needs_attention_comes_first_and_then_the_names(engine: Engine, moving: MovingClock) -> None:
    assert source_rows(engine) == []
    for number, name in enumerate(("b", "a", "stopped", "failing"), 1):
        save(engine, name, number)
    pause(engine, "stopped")
    sources.save_state(engine, "4" * 32, "ThirdPartyConfigError", "The token is rejected.", "run")
    assert [(one.source.name, one.health) for one in source_rows(engine)] == [
        ("failing", "in error"),
        ("a", "healthy"),
        ("b", "healthy"),
        ("stopped", "stopped"),
    ]
    moving.advance(3600)
    assert [one.health for one in source_rows(engine)] == ["in error", "not running", "not running", "stopped"]


@LIST
@pytest.mark.usefixtures("moving")
def test_a_row_has_the_events_of_the_last_day_by_the_hour(engine: Engine) -> None:
    save(engine, "1Pass", 1, events=3)
    save(engine, "other", 2, events=30)
    one, other = source_rows(engine)
    assert (one.events, one.last_day, one.hourly) == (3, 3, (*[0] * 21, 1, 1, 1))
    assert (other.events, other.last_day, sum(other.hourly)) == (30, 24, 24)


@LIST
@pytest.mark.usefixtures("moving")
def test_hours_of_all_apis_are_summed(engine: Engine) -> None:
    save(engine, "1Pass", 1, events=2, apis=(Api.AUDIT, Api.SIGN_IN))
    (found,) = source_rows(engine)
    assert (found.last_day, found.hourly[-3:]) == (4, (0, 2, 2))


@LIST
@pytest.mark.usefixtures("moving")
def test_a_row_has_the_pairs_of_its_source(engine: Engine) -> None:
    save(engine, "a", 1, events=2)
    save(engine, "b", 2)
    for siem in ("soc", "lake"):
        forward_pairs.save(engine, "1" * 32, siem, "splunk", {}, "first")
    one, other = source_rows(engine)
    assert sorted(each.siem for each in one.pairs) == ["lake", "soc"]
    assert (one.waiting, other.pairs) == (4, ())


@LIST
@pytest.mark.usefixtures("moving")
def test_deleted_sources_are_shown_on_request(engine: Engine) -> None:
    save(engine, "gone", 1)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sources SET deleted_ns = 5")
    assert source_rows(engine) == []
    assert [one.health for one in source_rows(engine, with_deleted=True)] == ["deleted"]
    found = find_row(engine, "1" * 32)
    assert found
    assert found.health == "deleted"


@LIST
@pytest.mark.usefixtures("moving")
def test_one_row_is_found_by_its_id(engine: Engine) -> None:
    save(engine, "a", 1, events=1)
    save(engine, "b", 2)
    forward_pairs.save(engine, "2" * 32, "soc", "splunk", {}, "first")
    found = find_row(engine, "2" * 32)
    assert found
    assert (found.source.name, [one.siem for one in found.pairs]) == ("b", ["soc"])
    assert find_row(engine, "3" * 32) is None
