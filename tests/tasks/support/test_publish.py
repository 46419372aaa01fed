"""Health events are published to Prefect and the log, each at least once, whatever Prefect or the store answers."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prefect.logging import disable_run_logger
from support.moving_clock import START_NS
from support.prefect_answers import PrefectAnswers, prefect_answers
from support.values import SOURCE

from blocks import settings
from blocks.errors import FirstPartyGenericError, ThirdPartyGenericError
from blocks.health import ERROR, HEALTHY, WARNING, Condition, HealthEvent
from blocks.store import health, sources
from blocks.store.engine import writing
from blocks.store.streams import REPORTED_AFTER_NS
from tasks.support import health_spool, publish, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

LAG = Condition("lag/audit", "Lag", WARNING, "audit is late.", "audit", hint="Look at the runs.")


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectAnswers]:
    monkeypatch.setattr(publish, "_not_before", 0.0)
    with prefect_answers() as answers, disable_run_logger():
        yield answers


@pytest.fixture
def opened(engine: Engine, moving: MovingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The store of SOURCE as this process has opened it, with one condition that is not published yet."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(health_spool, "_last_values", {})
    monkeypatch.setattr(source, "_of_source", {SOURCE.id: engine})
    monkeypatch.setattr(source, "_ids", {SOURCE.name: SOURCE.id})
    sources.save(engine, SOURCE)
    with writing(engine) as connection:
        health.begin(connection, SOURCE.id, LAG)
    return engine


def test_an_event_is_sent_once_and_is_published_then(opened: Engine, prefect: PrefectAnswers) -> None:
    (event,) = health.unpublished(opened, SOURCE.id)
    publish.publish(SOURCE.id)
    (request,) = prefect.sent("/events")
    (sent,) = request
    assert (sent["id"], sent["event"]) == (event.event_id, "onepassword-source.health.Lag")
    assert sent["resource"] == {
        "prefect.resource.id": f"onepassword-source.source.{SOURCE.id}",
        "prefect.resource.name": "1Pass",
        "onepassword-source.severity": "Warning",
        "onepassword-source.status": "UnHealthy",
    }
    assert datetime.fromisoformat(sent["occurred"]) == datetime.fromtimestamp(START_NS / 1e9, UTC)
    assert (sent["payload"], sent["related"]) == (event.as_json(), [])
    assert health.unpublished(opened, SOURCE.id) == []
    publish.publish(SOURCE.id)
    assert len(prefect.sent("/events")) == 1, "without news, nothing is sent"


def test_the_run_of_an_event_is_related_to_it(
    opened: Engine, prefect: PrefectAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-7")
    publish.publish(SOURCE.id)
    assert prefect.sent("/events")[0][0]["related"] == [
        {"prefect.resource.id": "prefect.flow-run.run-7", "prefect.resource.role": "flow-run"}
    ]


def test_an_event_that_prefect_does_not_accept_is_sent_again_after_a_pause(
    opened: Engine, prefect: PrefectAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1000.0
    monkeypatch.setattr(publish.time, "monotonic", lambda: seconds)
    prefect.status = b"422 Unprocessable Content"
    publish.publish(SOURCE.id)
    publish.publish(SOURCE.id)
    assert len(prefect.sent("/events")) == 1, "the second call did not wait for a server that does not work"
    assert len(health.unpublished(opened, SOURCE.id)) == 1
    prefect.status = b"201 Created"
    seconds += publish.RETRY_AFTER_SECONDS - 0.01
    publish.publish(SOURCE.id)
    assert len(prefect.sent("/events")) == 1
    seconds += 0.01
    publish.publish(SOURCE.id)
    assert prefect.sent("/events")[0] == prefect.sent("/events")[1], "Prefect recognizes it by its id"
    assert health.unpublished(opened, SOURCE.id) == []


def test_the_log_says_what_happened_by_its_status(
    opened: Engine, prefect: PrefectAnswers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("test_publish")
    monkeypatch.setattr(publish, "get_run_logger", lambda: log)
    with caplog.at_level(logging.INFO, "test_publish"):
        publish.publish(SOURCE.id)
        health.update_conditions(opened, SOURCE.id, [], [Condition("lag/audit", "Recovered", WARNING, "It is read.")])
        publish.publish(SOURCE.id)
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.WARNING, "Health: Lag (lag/audit). audit is late. Look at the runs."),
        (logging.INFO, "Health: Recovered (lag/audit). It is read."),
    ]


def test_without_an_opened_store_nothing_is_published(prefect: PrefectAnswers) -> None:
    publish.publish("9" * 32)
    assert prefect.sent("/events") == []


def test_a_store_that_cannot_be_read_leaves_its_events(
    opened: Engine, prefect: PrefectAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FirstPartyGenericError("The store does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(health, "unpublished", fail)
        publish.publish(SOURCE.id)
    assert prefect.sent("/events") == []
    publish.publish(SOURCE.id)
    assert len(prefect.sent("/events")) == 1


STORE = FirstPartyGenericError("The store does not answer.", code="store")
STORE.retry_in = 5.0
GIVEN_UP = FirstPartyGenericError("The store does not answer.", code="store")
GIVEN_UP.retry_in = None


def spooled() -> list[tuple[str, str]]:
    files = settings.data_dir().glob("unstored-health-*.jsonl")
    lines = [json.loads(line)["event"] for file in files for line in file.read_text().splitlines()]
    return [(one["name"], one["severity"]) for one in lines]


@pytest.mark.parametrize(
    ("error", "for_ns", "expected"),
    [
        (STORE, 0, []),
        (STORE, REPORTED_AFTER_NS - 1, []),
        (STORE, REPORTED_AFTER_NS, [("FirstPartyGenericError", WARNING)]),
        (GIVEN_UP, 0, [("FirstPartyGenericError", ERROR)]),
        (ThirdPartyGenericError("503"), REPORTED_AFTER_NS, []),
    ],
)
def test_a_store_that_does_not_answer_is_reported_once_it_has_lasted(
    opened: Engine,
    prefect: PrefectAnswers,
    error: FirstPartyGenericError,
    for_ns: int,
    expected: list[tuple[str, str]],
) -> None:
    publish.report_unstored(SOURCE.name, error, START_NS - for_ns)
    assert spooled() == expected
    assert [(one["event"], one["resource"]["onepassword-source.severity"]) for (one,) in prefect.sent("/events")] == [
        (f"onepassword-source.health.{name}", severity) for name, severity in expected
    ]
    publish.report_unstored(SOURCE.name, error, START_NS - for_ns)
    assert len(prefect.sent("/events")) == len(expected), "once"


def test_what_is_not_known_of_an_unstored_error_reports_nothing(opened: Engine, prefect: PrefectAnswers) -> None:
    publish.report_unstored("unknown", GIVEN_UP, START_NS)
    publish.report_unstored(SOURCE.name, GIVEN_UP, None)
    assert (spooled(), prefect.sent("/events")) == ([], [])


def test_a_healthy_event_is_emitted_as_one(prefect: PrefectAnswers, moving: MovingClock) -> None:
    event = HealthEvent.from_condition(LAG, SOURCE.id, SOURCE.name, status=HEALTHY)
    assert publish.emit_to_prefect([event, event])
    (request,) = prefect.sent("/events")
    assert [one["resource"]["onepassword-source.status"] for one in request] == [HEALTHY, HEALTHY]
