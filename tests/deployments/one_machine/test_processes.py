"""The children of `up`: started, watched, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from support.one_machine import wait_until

from deployments.one_machine import processes
from deployments.one_machine.processes import FIRST_DELAY, LONGEST_DELAY, STEADY_AFTER, Child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

WAIT = "print('ready', flush=True); time.sleep(60)"
IDLE = f"import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(7)); {WAIT}"
DEAF = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"


class Steady:
    """A clock of seconds; a sleep moves it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def start(tmp_path: Path, lines: list[str]) -> Iterator[Starter]:
    starter = Starter(tmp_path, lines)
    yield starter
    for child in starter.children:
        child.kill()


class Starter:
    """Starts a child that runs a program."""

    def __init__(self, directory: Path, lines: list[str]) -> None:
        self.directory, self.lines = directory, lines
        self.children: list[Child] = []

    def __call__(self, program: str) -> Child:
        (self.directory / "the_program.py").write_text(program)
        environment = {**os.environ, "PYTHONPATH": str(self.directory)}
        child = Child("child", (), environment, self.lines.append, module="the_program")
        self.children.append(child)
        child.start()
        wait_until(lambda: self.lines.count("ready") == len(self.children))
        return child


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_was_never_started_is_due_and_has_nothing_to_stop() -> None:
    child = Child("child", (), {}, print)
    assert (child.pid, child.exit_code(), child.is_due()) == (None, None, True)
    child.stop(signal.SIGTERM, 1)
    child.kill()


def test_a_child_leads_a_group_of_its_own_and_its_lines_arrive(start: Starter, lines: list[str]) -> None:
    child = start(f"import os; print(os.getpid(), os.getpgrp() == os.getpid(), flush=True); {IDLE}")
    assert lines[0] == f"{child.pid} True"
    assert (child.exit_code(), child.is_due()) == (None, False)


def test_a_child_that_listens_ends_by_itself_and_can_be_started_again(start: Starter, lines: list[str]) -> None:
    child = start(f"import atexit; atexit.register(print, 'bye', flush=True); {IDLE}")
    child.stop(signal.SIGTERM, 60)
    assert (child.pid, child.is_due()) == (None, True)
    wait_until(lambda: "bye" in lines)


def test_a_child_that_does_not_listen_is_killed_after_its_time_or_when_urged(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(DEAF)
    steady = Steady()
    monkeypatch.setattr(processes, "time", steady)
    pid = child.pid
    assert pid
    child.stop(signal.SIGTERM, 5)
    assert 5 <= steady.now - 1000 < 5.2
    assert not lives(pid)
    before = steady.now
    again = start(DEAF)
    again.stop(signal.SIGTERM, 5, lambda: True)
    assert (again.pid, steady.now) == (None, before)


def test_what_a_child_has_started_is_killed_with_it(start: Starter, lines: list[str]) -> None:
    child = start(
        f"import subprocess, sys; other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"print(other.pid, flush=True); {IDLE}"
    )
    child.stop(signal.SIGTERM, 60)
    wait_until(lambda: not lives(int(lines[0])))


def test_a_child_ends_with_its_parent_and_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "the_program.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    parent = f"""
        import os, time
        from deployments.one_machine.processes import Child
        child = Child("child", (), {{**os.environ, "PYTHONPATH": {str(tmp_path)!r}}}, print, module="the_program")
        child.start()
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(parent)], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout
        pid = int(started.stdout.readline())
        assert lives(pid)
        started.kill()
    wait_until(lambda: not lives(pid))


def test_restarts_become_rarer_until_a_child_has_lived_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "time", steady := Steady())
    child = Child("child", (), {}, print)
    child._started = steady.now
    delays = [child.postpone() for _ in range(8)]
    assert delays == [FIRST_DELAY, 2, 4, 8, 16, 32, LONGEST_DELAY, LONGEST_DELAY]
    assert not child.is_due()
    steady.now += LONGEST_DELAY
    assert child.is_due()
    steady.now = child._started + STEADY_AFTER + 1
    assert child.postpone() == FIRST_DELAY
