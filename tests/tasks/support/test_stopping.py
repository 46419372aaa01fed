"""Signals: while a run works they request a stop, and while its main thread waits they end it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from blocks.errors import FirstPartyGenericError
from tasks import attempts
from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ended() -> Iterator[list[str]]:
    yield []
    stopping.requested.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_whose_main_thread_waits(ended: list[str], number: signal.Signals) -> None:
    over = threading.Event()

    def end(why: str) -> None:
        ended.append(why)
        over.set()

    with stopping.on_signals(end):
        assert stopping.begin_main_wait("The store does not answer.")
        os.kill(os.getpid(), number)
        assert over.wait(60)
    assert ended == ["The store does not answer."]
    assert stopping.requested.is_set()


def test_a_signal_while_a_step_works_keeps_it_from_waiting(ended: list[str]) -> None:
    with stopping.on_signals(ended.append):
        assert stopping.begin_main_wait("once")
        stopping.end_main_wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not stopping.begin_main_wait("again")
    assert ended == []


def test_a_step_that_goes_on_does_not_wait_any_more(ended: list[str]) -> None:
    with stopping.on_signals(ended.append):
        assert stopping.begin_main_wait("once")
        with contextlib.suppress(FirstPartyGenericError), attempts.attempt_in_memory("a key of this test"):
            os.kill(os.getpid(), signal.SIGINT)
            raise FirstPartyGenericError("away")
    attempts.forget("a key of this test")
    assert ended == []
    assert stopping.requested.is_set()
