"""What a run does beside reading: it notices a stop, reports a failed start, and assesses the source at its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.chains import Filled
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import (
    FirstPartyGenericError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    UnexpectedError,
)
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.integrity import checkpoints
from tasks import open_source, run_monitor
from tasks.open_source import OpenedSource
from tasks.support import source, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock
    from support.stored_block import StoredBlock

    Rows = Callable[[str], list[tuple[object, ...]]]

STORE_AWAY = FirstPartyGenericError("The store does not answer.")
CONFIGURATION = ThirdPartyConfigError("The token was rejected.", hint="Issue a new one.", code="401")


def unanswered(*_: object, **__: object) -> None:
    raise STORE_AWAY


@pytest.fixture
def opened(stored: StoredBlock, moving: MovingClock) -> OpenedSource:
    return open_source._step.fn(SOURCE.name, "run")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The run's log."""
    own = logging.getLogger("test_run_monitor")
    own.setLevel(logging.INFO)
    monkeypatch.setattr(run_monitor, "get_run_logger", lambda: own)
    return caplog


def test_a_stop_counts_from_the_opening_of_the_run_on(
    engine: Engine, opened: OpenedSource, moving: MovingClock
) -> None:
    run_monitor.poll(opened)
    assert not stopping.requested.is_set()
    moving.advance(1)
    sources.request_stop(engine, SOURCE.id)
    run_monitor.poll(opened)
    assert stopping.requested.is_set()


def test_polling_publishes_what_is_new(engine: Engine, opened: OpenedSource, stored: StoredBlock) -> None:
    with engine.begin() as connection:
        run_monitor.health.begin(connection, SOURCE.id, run_monitor.error_condition(CONFIGURATION, "Error"))
    run_monitor.poll(opened)
    assert [one.name for one in stored.published] == ["ThirdPartyConfigError"]


def test_a_store_that_does_not_answer_is_for_the_readers_to_report(
    opened: OpenedSource, stored: StoredBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "stop_requested", unanswered)
    monkeypatch.setattr(run_monitor, "publish", stored.published.append)
    run_monitor.poll(opened)
    assert (stopping.requested.is_set(), stored.published) == (False, [])


def test_without_an_opened_store_no_stop_is_noticed(
    engine: Engine, opened: OpenedSource, moving: MovingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.advance(1)
    sources.request_stop(engine, SOURCE.id)
    monkeypatch.setattr(source, "_of_source", {})
    run_monitor.poll(opened)
    assert not stopping.requested.is_set()


CONDITIONS = "SELECT source_id, tracker, severity FROM conditions"
STATE = "SELECT state, state_message FROM sources"


@pytest.mark.parametrize("error", [CONFIGURATION, UnexpectedError("An error in this program.")])
def test_a_run_that_could_not_begin_is_a_health_event_and_a_state(
    opened: OpenedSource, stored: StoredBlock, rows: Rows, error: SourceError
) -> None:
    run_monitor.report_failed_start(SOURCE.name, error)
    assert rows(CONDITIONS) == [(SOURCE.id, "error", "Error")]
    assert rows(STATE) == [(error.name, str(error))]
    assert [one.name for one in stored.published] == [error.name]


def test_a_block_that_cannot_be_read_fails_under_the_id_that_was_last_seen(
    engine: Engine, stored: StoredBlock, rows: Rows
) -> None:
    sources.save(engine, SOURCE)
    run_monitor.report_failed_start(SOURCE.name, CONFIGURATION)
    assert rows(CONDITIONS) == [(SOURCE.id, "error", "Error")]


@pytest.mark.parametrize("error", [ThirdPartyGenericError("503"), STORE_AWAY])
def test_an_error_that_is_retried_is_no_failed_start(
    engine: Engine, stored: StoredBlock, rows: Rows, error: ThirdPartyGenericError
) -> None:
    sources.save(engine, SOURCE)
    run_monitor.report_failed_start(SOURCE.name, error)
    assert rows(CONDITIONS) == []


def test_a_source_that_the_store_does_not_know_has_no_health(stored: StoredBlock, rows: Rows) -> None:
    run_monitor.report_failed_start("never applied", CONFIGURATION)
    assert rows(CONDITIONS) == []


def test_a_failed_start_that_cannot_be_saved_is_logged(
    stored: StoredBlock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_monitor, "default_store", unanswered)
    run_monitor.report_failed_start(SOURCE.name, CONFIGURATION)
    assert [one.getMessage() for one in log.records] == [
        "The error could not be saved in the store. The store does not answer."
    ]


def test_at_its_end_a_run_is_assessed_and_logs_the_heads_of_its_chains(
    engine: Engine, opened: OpenedSource, stored: StoredBlock, log: pytest.LogCaptureFixture
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE streams SET holder = NULL, claim_expires_ns = NULL"))
        connection.execute(text("UPDATE streams SET drained_ns = :ns"), {"ns": START_NS - 40 * 86_400 * 10**9})
    Filled(engine).commit(Api.AUDIT, 2)
    run_monitor.assess_and_publish(SOURCE.name, SOURCE.id)
    assert "Lag" in {one.name for one in stored.published}
    checkpoint = checkpoints.current(engine, SOURCE.id)
    assert checkpoint
    assert log.records[-1].getMessage() == f"Checkpoint of the hash chains: {checkpoint.line()}"


def test_a_source_that_the_store_does_not_know_has_no_checkpoint(
    engine: Engine, stored: StoredBlock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_monitor, "assess", lambda _: None)
    monkeypatch.setattr(source, "_of_source", {SOURCE.id: engine})
    run_monitor.assess_and_publish(SOURCE.name, SOURCE.id)
    assert log.records == []


def test_what_cannot_be_assessed_is_logged_and_published_all_the_same(
    engine: Engine, opened: OpenedSource, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise ValueError("secret")

    published: list[str] = []
    monkeypatch.setattr(run_monitor, "assess", fail)
    monkeypatch.setattr(run_monitor, "publish", published.append)
    monkeypatch.setattr(checkpoints, "current", unanswered)
    run_monitor.assess_and_publish(SOURCE.name, SOURCE.id)
    first, second = [one.getMessage() for one in log.records]
    assert first.startswith(
        "The health of the source could not be assessed. An unexpected error in this program: ValueError"
    )
    assert second == "The checkpoint of the hash chains could not be read. The store does not answer."
    assert published == [SOURCE.id]


def test_a_source_whose_store_was_never_opened_logs_no_checkpoint(
    stored: StoredBlock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_monitor, "assess", lambda _: None)
    run_monitor.assess_and_publish(SOURCE.name, SOURCE.id)
    assert log.records == []
