"""Waiting for readers: no signal breaks the main thread off meanwhile."""

from __future__ import annotations

import signal
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from prefect.futures import PrefectConcurrentFuture

from tasks.support.futures import wait_for_some

if TYPE_CHECKING:
    import pytest


def reader(*, ended: bool) -> PrefectConcurrentFuture[int]:
    thread: Future[Any] = Future()
    if ended:
        thread.set_result(1)
    return PrefectConcurrentFuture(uuid4(), thread)


def test_those_that_have_ended_are_given_at_once_and_no_alarm_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[object] = []
    monkeypatch.setattr(signal, "setitimer", lambda *asked: alarms.append(asked) or (0.0, 0.0))
    first, second = reader(ended=True), reader(ended=False)
    assert wait_for_some([first, second], 60) == [first]
    assert wait_for_some([second], 0.01) == []
    assert alarms == []
