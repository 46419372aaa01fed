"""Waiting for readers: no signal breaks the main thread off meanwhile."""

from __future__ import annotations

import signal
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from prefect.futures import PrefectConcurrentFuture

from tasks.support import stopping
from tasks.support.futures import gather, wait_for_some

if TYPE_CHECKING:
    from collections.abc import Iterator


def reader(*, ended: bool) -> PrefectConcurrentFuture[int]:
    thread: Future[Any] = Future()
    if ended:
        thread.set_result(1)
    return PrefectConcurrentFuture(uuid4(), thread)


def test_those_that_have_ended_are_given_at_once_and_no_alarm_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[object] = []
    monkeypatch.setattr(signal, "setitimer", lambda *arguments: alarms.append(arguments) or (0.0, 0.0))
    first, second = reader(ended=True), reader(ended=False)
    assert wait_for_some([first, second], 60) == [first]
    assert wait_for_some([second], 0.01) == []
    assert alarms == []


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stop is requested, and no reader waits: another test's attempt may have been left waiting."""
    monkeypatch.setattr(stopping, "_waiting", set())
    stopping.requested.set()
    yield
    stopping.requested.clear()


def test_gather_returns_results_and_exceptions_by_key() -> None:
    failed = ValueError("no")
    thread: Future[Any] = Future()
    thread.set_exception(failed)
    looks: list[int] = []
    broken = PrefectConcurrentFuture[int](uuid4(), thread)
    broken.result = lambda **_: failed  # type: ignore[method-assign, assignment]  # as of a task in state Failed
    whole = reader(ended=True)
    whole.result = lambda **_: 1  # type: ignore[method-assign]
    assert gather({"sign-in": whole, "audit": broken}, lambda: looks.append(1)) == {"sign-in": 1, "audit": failed}
    assert looks


def test_gather_of_nothing_does_not_wait() -> None:
    assert gather({}, lambda: pytest.fail("there is nothing to wait for")) == {}


def test_gather_leaves_out_readers_that_wait_for_their_next_attempt_once_a_stop_is_requested(stop: None) -> None:
    stopping.begin_retry_wait("reader")
    assert gather({"audit": reader(ended=False)}, lambda: None) == {}


def test_gather_waits_for_a_reader_that_commits_its_page_though_a_stop_is_requested(stop: None) -> None:
    busy, looks = reader(ended=False), []
    busy.result = lambda **_: 1  # type: ignore[method-assign]

    def between() -> None:
        looks.append(1)
        if len(looks) == 1:
            busy.wrapped_future.set_result(None)

    assert gather({"audit": busy}, between) == {"audit": 1}
    assert len(looks) == 2
