"""The task `collect`: what one attempt leaves in the store, whether it ends well, is retried or is final."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr
from support.values import SOURCE

from blocks.errors import (
    ClaimLostError,
    FirstPartyGenericError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    UnexpectedError,
)
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.events_api.models import Api
from blocks.events_api.rate_limit import DOCUMENTED
from blocks.source import OnePasswordSource
from blocks.store import health, rate_limit_windows, sources, streams
from blocks.store.block import EventStore
from deployments.sandbox.process import running_sandbox
from tasks import attempts, collect, session
from tasks.support import source, stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim, StreamView
    from deployments.sandbox.process import SandboxProcess


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with running_sandbox(events=90, days=2) as running:
        yield running


@pytest.fixture
def sandbox(server: SandboxProcess) -> SandboxProcess:
    server.clear_faults()
    return server


@pytest.fixture
def block(
    store_url: str, engine: Engine, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OnePasswordSource]:
    new_block = OnePasswordSource(
        name=SOURCE.name,
        credentials=OnePasswordCredentials(base_url=sandbox.base_url, api_token=SecretStr(sandbox.token)),
        supported_apis=["sign-in", "itemUsage", "audit"],
        collect_from="30d",
        store=EventStore(url=SecretStr(store_url)),
        source_id=SOURCE.id,
    )
    sources.save(engine, source.source_record(new_block))
    monkeypatch.setitem(source._ids, SOURCE.name, SOURCE.id)
    monkeypatch.setitem(source._of_source, SOURCE.id, engine)
    monkeypatch.setattr(collect, "shared_source", lambda _: new_block)
    monkeypatch.setattr(source, "load_source", lambda _: new_block)
    monkeypatch.setattr(session, "open_store", lambda _: engine)
    with disable_run_logger():
        yield new_block


@pytest.fixture
def claim(engine: Engine, block: OnePasswordSource) -> Iterator[StreamClaim]:
    stream_claim = streams.acquire(engine, stream(engine), "run")
    assert stream_claim
    yield stream_claim
    attempts.forget(collect.attempt_key(stream_claim))
    stopping.end_retry_wait(collect.attempt_key(stream_claim))


def stream(engine: Engine) -> StreamView:
    return streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]


def fail(claim: StreamClaim) -> SourceError:
    with pytest.raises(SourceError) as raised:
        collect.collect_stream.fn(SOURCE.name, claim)
    return raised.value


def test_a_drained_stream_is_released_and_its_counts_are_returned(engine: Engine, claim: StreamClaim) -> None:
    collected = collect.collect_stream.fn(SOURCE.name, claim)
    assert (collected.api, collected.new, collected.known, collected.note) == ("audit", 30, 0, "")
    view = stream(engine)
    assert (view.holder, view.failing_since_ns) == (None, None)
    assert view.drained_ns


def test_a_failed_attempt_is_recorded_and_keeps_its_claim_until_the_next(
    engine: Engine, claim: StreamClaim, sandbox: SandboxProcess
) -> None:
    sandbox.fault("503", api="auditevents")
    error = fail(claim)
    assert isinstance(error, ThirdPartyGenericError)
    assert error.retry_in
    view = stream(engine)
    assert view.holder == "run"
    assert view.failing_since_ns
    assert stopping.waiting_readers() == 1
    assert streams.acquire(engine, view, "another run") is None


def test_the_90_minutes_begin_with_the_first_failure_also_in_another_process(
    engine: Engine, claim: StreamClaim, sandbox: SandboxProcess
) -> None:
    sandbox.fault("503", api="auditevents")
    fail(claim)
    since_ns = stream(engine).failing_since_ns
    attempts.forget(collect.attempt_key(claim))
    fail(claim)
    assert stream(engine).failing_since_ns == since_ns


def test_a_success_ends_the_90_minutes(engine: Engine, claim: StreamClaim, sandbox: SandboxProcess) -> None:
    sandbox.fault("503", api="auditevents", times=1)
    fail(claim)
    assert collect.collect_stream.fn(SOURCE.name, claim).new == 30
    assert stream(engine).failing_since_ns is None
    assert stopping.waiting_readers() == 0


def test_a_rejected_token_stops_the_stream_until_the_configuration_changes(
    engine: Engine, claim: StreamClaim, block: OnePasswordSource, sandbox: SandboxProcess
) -> None:
    sandbox.fault("revoked")
    error = fail(claim)
    assert isinstance(error, ThirdPartyConfigError)
    assert error.retry_in is None
    view = stream(engine)
    assert (view.holder, view.stopped_fingerprint) == (None, block.fingerprint())
    assert "error" in health.open_conditions(engine, SOURCE.id)


def test_a_token_that_was_replaced_during_the_attempt_is_retried(
    engine: Engine,
    claim: StreamClaim,
    block: OnePasswordSource,
    sandbox: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials = block.credentials.model_copy(update={"api_token": SecretStr("eyJhbGciOiJFUzI1NiJ9.e30.bmV3")})
    monkeypatch.setattr(source, "load_source", lambda _: block.model_copy(update={"credentials": credentials}))
    sandbox.fault("revoked")
    error = fail(claim)
    assert (type(error), error.code) == (ThirdPartyGenericError, "token-replaced")
    assert error.retry_in
    assert stream(engine).stopped_fingerprint is None


def test_a_claim_that_was_taken_away_writes_nothing(engine: Engine, claim: StreamClaim) -> None:
    streams.restart(engine, SOURCE.id)
    before = stream(engine)
    assert isinstance(fail(claim), ClaimLostError)
    assert stream(engine) == before


def test_a_429_pauses_all_that_use_the_account(engine: Engine, claim: StreamClaim) -> None:
    error = ThirdPartyGenericError("Too many requests.", code="429")
    error.retry_in = 30.0
    key = rate_limit_windows.key_of(engine, SOURCE.id)
    record = collect.StreamRecord(engine, claim, "f")
    record.wait(replace_code(error, "503"), 30.0)
    assert rate_limit_windows.acquire(engine, key, DOCUMENTED, 1).count == 1
    record.wait(error, 30.0)
    assert rate_limit_windows.acquire(engine, key, DOCUMENTED, 1).count == 0
    assert stream(engine).holder == "run"


def replace_code(error: ThirdPartyGenericError, code: str) -> ThirdPartyGenericError:
    other = ThirdPartyGenericError(error.message, code=code)
    other.retry_in = error.retry_in
    return other


def test_a_run_that_an_error_ended_before_it_read_releases_its_streams(engine: Engine, claim: StreamClaim) -> None:
    collect.abandon(SOURCE.name, [claim], ThirdPartyGenericError("No answer."))
    view = stream(engine)
    assert (view.holder, view.stopped_fingerprint, view.error_message) == (None, None, None)


def test_an_unexpected_error_before_the_reading_is_recorded_and_the_next_run_tries_again(
    engine: Engine, claim: StreamClaim
) -> None:
    collect.abandon(SOURCE.name, [claim], UnexpectedError.from_exception(ValueError("secret")))
    view = stream(engine)
    assert (view.holder, view.stopped_fingerprint) == (None, None)
    assert "ValueError" in (view.error_message or "")
    assert streams.acquire(engine, view, "next")


def test_abandon_without_an_opened_store_does_nothing(engine: Engine, claim: StreamClaim) -> None:
    collect.abandon("another source", [claim], ThirdPartyGenericError("No answer."))
    assert stream(engine).holder == "run"


def test_a_store_that_does_not_answer_is_retried_from_memory(
    claim: StreamClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> Engine:
        raise FirstPartyGenericError("The store does not answer.", code="database")

    monkeypatch.setattr(session, "open_store", away)
    error = fail(claim)
    assert error.retry_in
    assert attempts.failing_since_ns(collect.attempt_key(claim))


def test_news_is_logged_at_info_and_a_run_without_news_at_debug(
    engine: Engine, claim: StreamClaim, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "get_run_logger", lambda: logging.getLogger("test.collect"))
    with caplog.at_level(logging.DEBUG, logger="test.collect"):
        collect.collect_stream.fn(SOURCE.name, claim)
        again = streams.acquire(engine, stream(engine), "next")
        assert again
        collect.collect_stream.fn(SOURCE.name, again)
    logged = [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "test.collect"]
    assert [level for level, _ in logged] == [logging.INFO, logging.DEBUG]
    assert logged[0][1].startswith("audit: 30 new, 0 already known, 0 put in quarantine; 1 pages in ")
