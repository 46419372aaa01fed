"""Commands while a task waits in its retries: `restart`, `stop`, `delete`, and a rotated token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest
from support.one_machine import wait_until
from torture.outcome import Row, allowed_requests, health_of, is_well, request_count, states_of
from torture.processes import TICK, Fork, Runs

from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 120.0  # seconds

pytestmark = [pytest.mark.prefect, pytest.mark.torture]


@dataclass
class Waiting:
    """A source whose audit events fail; a run in a process of its own waits for its next attempt."""

    name: str
    url: str
    runs: Runs
    sandbox: SandboxProcess
    row: Row
    run: Fork
    request_count: int = 0

    def command(self, *arguments: str, **more: str) -> str:
        self.row.times += 1
        self.row.fault = f"{arguments[0]} while a task waits"
        return self.runs.up.call(arguments[0], self.name, *arguments[1:], **more)

    def is_whole(self, *, runs: int, reported: tuple[str, ...] = ("ThirdPartyGenericError", "Recovered")) -> None:
        """Assert that each event is stored once, with `reported` as health events; a run may request each API again."""
        wait_until(lambda: states_of(self.url, self.name) == ["ok"] * 3)
        self.row.compare(self.url, self.sandbox, self.name)
        allowed = allowed_requests(self.url, self.name, runs=runs, interrupted=0) + self.request_count
        self.row.count_requests(self.sandbox, allowed)
        is_well(self.url, self.name, *reported)
        assert health_of(self.url, self.name) == list(reported)


@pytest.fixture
def waiting(runs: Runs, row: Row, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Waiting]:
    name, url = request.node.name, f"sqlite:///{tmp_path / 'events.db'}"
    with running_sandbox(events=6000) as sandbox:
        sandbox.fault("500", api="auditevents", skip=1)  # a stream without a page would report a Gap
        runs.save(name, url, sandbox)
        made = Waiting(name, url, runs, sandbox, row, runs.start(name))
        wait_until(lambda: states_of(url, name) == ["ok", "ok", "retrying"])
        _wait_for_a_long_wait(runs, made)
        made.request_count = request_count(sandbox, "auditevents")
        yield made
        made.run.kill()
        deployment = runs.up.ask("GET", f"/api/deployments/name/collect/{name}").json()
        runs.up.ask("DELETE", f"/api/deployments/{deployment.get('id')}")  # or its schedule goes on


def _wait_for_a_long_wait(runs: Runs, waiting: Waiting) -> None:
    """Until the failure is reported, and a wait lasts longer than any command: the clock goes on by itself too."""
    clock = runs.up.clock

    def is_long() -> bool:
        wakes = clock.wakes_ns(waiting.run.pid)
        left = (wakes[0] - clock.now_ns()) / 1e9 if wakes else 0
        is_reported = health_of(waiting.url, waiting.name) == ["ThirdPartyGenericError"]
        if wakes and not (is_reported and left >= LONG):
            clock.advance(left)
        return is_reported and left >= LONG

    wait_until(is_long)


def test_restart(waiting: Waiting) -> None:
    waiting.sandbox.clear_faults()
    waiting.command("restart")
    assert waiting.run.wait()[0] in {"Stopped", "Collected"}
    waiting.is_whole(runs=3)


def test_stop(waiting: Waiting) -> None:
    waiting.command("stop")
    assert waiting.run.wait() == ("Stopped", ANY)
    assert request_count(waiting.sandbox, "auditevents") == waiting.request_count
    waiting.sandbox.clear_faults()
    waiting.runs.up.call("start", waiting.name)
    waiting.runs.up.clock.advance(TICK)
    assert waiting.runs.collect(waiting.name)[0] == "Collected"
    waiting.is_whole(runs=3)


def test_delete(waiting: Waiting) -> None:
    """The events stay; applied again, it goes on from its cursors. What was open was closed without a word."""
    waiting.command("delete")
    assert waiting.run.wait() == ("Stopped", ANY)
    assert request_count(waiting.sandbox, "auditevents") == waiting.request_count
    waiting.sandbox.clear_faults()
    waiting.runs.up.apply(waiting.name, waiting.sandbox, waiting.url)
    waiting.runs.up.call("collect", waiting.name, ONEPASSWORD_SOURCE_DATABASE_URL=waiting.url)
    waiting.is_whole(runs=3, reported=("ThirdPartyGenericError",))


def test_token(waiting: Waiting) -> None:
    new = waiting.sandbox.issue_token()
    waiting.sandbox.revoke(waiting.sandbox.token)
    waiting.sandbox.clear_faults()
    waiting.command("token", ONEPASSWORD_SOURCE_API_TOKEN=new)
    waiting.runs.up.clock.advance(TICK)
    assert waiting.run.wait()[0] in {"Stopped", "Collected"}
    waiting.is_whole(runs=3)
