"""`collect`: the flow run in this very process, and Ctrl-C in the middle of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import text
from support.flow_runs import Source
from support.one_machine import wait_until
from support.terminal import CTRL_C, in_terminal

from blocks import process_identity
from blocks.events_api.models import Api
from blocks.store import streams
from deployments import cli
from deployments.commands.support.local_run import exit_code_of, worst_exit_code
from deployments.exit_codes import DONE, IN_ERROR, SKIPPED
from deployments.exit_codes import INTERRUPTED as STOPPED
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.prefect


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with running_sandbox(events=6600, days=3) as sandbox:
        new_source = Source(f"[red]{request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        new_source.save()
        monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", new_source.url)
        yield new_source


def collect(source: Source, capsys: pytest.CaptureFixture[str], *flags: str, code: int = cli.DONE) -> str:
    assert cli.main(["collect", source.name, *flags]) == code
    return capsys.readouterr().out


def run_states() -> list[tuple[str, str]]:
    """The names of the final states of all runs, and the outcomes in their messages, the newest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    from tasks.run_state import outcome_of

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC)
    return [(run.state.name or "", outcome_of(run.state).name) for run in runs if run.state]


def test_the_result_is_printed_for_people_and_for_scripts(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    shown = collect(source, capsys).splitlines()
    assert shown[0].startswith("Collected: 6,600 new events (sign-in 2,200, itemUsage 2,200, audit 2,200), the newest")
    assert [line.split()[:3] for line in shown[2:]] == [
        ["sign-in", "ok", "2,200"],
        ["itemUsage", "ok", "2,200"],
        ["audit", "ok", "2,200"],
    ]
    again = json.loads(collect(source, capsys, "--json"))
    assert (again["source"], again["state"], again["in_error"]) == (source.name, "Collected", False)
    assert again["message"].startswith("0 new events")
    assert [(one["api"], one["events"], one["state"]) for one in again["apis"]] == [
        ("sign-in", 2200, "ok"),
        ("itemUsage", 2200, "ok"),
        ("audit", 2200, "ok"),
    ]


def test_a_source_in_error_is_exit_code_1_and_shows_no_token(source: Source, capfd: pytest.CaptureFixture[str]) -> None:
    source.sandbox.fault("revoked")
    assert cli.main(["collect", source.name, "--debug"]) == cli.IN_ERROR
    out, err = capfd.readouterr()
    assert out.startswith("ThirdPartyConfigError: ")
    assert source.sandbox.token not in out + err
    assert "Traceback" not in out


def test_what_another_run_has_is_exit_code_3_with_who_has_it_and_since_when(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(source, capsys)
    new = source.sandbox.arrive(Api.AUDIT.path, 5)
    engine = source.engine()
    for view in streams.of_source(engine, source.status().id, tuple(Api)):
        assert streams.acquire(engine, view, "run-of-another")
    own = process_identity.own()
    who = f"flow run run-of-another on {own.host} (process {own.pid}) is reading it, since 20"
    assert f"Skipped: sign-in, itemUsage, audit: {who}" in collect(source, capsys, code=cli.SKIPPED).replace("\n", " ")
    found = json.loads(collect(source, capsys, "--json", code=cli.SKIPPED))
    assert (found["state"], found["in_error"]) == ("Skipped", False)
    assert found["message"].startswith(f"sign-in, itemUsage, audit: {who}")
    assert run_states()[0] == ("Completed", "Skipped")
    assert cli.main(["status", source.name]) == cli.DONE
    assert "ago: Skipped" not in capsys.readouterr().out
    with engine.begin() as connection:
        dead = replace(own, pid=2**22 + 1).as_text()
        connection.execute(text("UPDATE streams SET holder_process = :dead"), {"dead": dead})
    engine.dispose()
    assert collect(source, capsys).startswith("Collected: 5 new events"), new


@pytest.mark.parametrize(
    ("type_", "message", "code"),
    [
        ("COMPLETED", "Collected: 3 new events.", DONE),
        ("COMPLETED", "Skipped: audit: another run is reading it.", SKIPPED),
        ("COMPLETED", "Retrying: audit: retrying since noon.", SKIPPED),
        ("FAILED", "ThirdPartyConfigError: The token is refused.", IN_ERROR),
        ("CRASHED", "The process ended.", IN_ERROR),
        ("CANCELLED", "Stopped: 3 new events.", STOPPED),
        ("CANCELLED", "Skipped: a newer run is due.", STOPPED),
    ],
)
def test_the_exit_code_of_a_state(type_: str, message: str, code: int) -> None:
    from prefect.client.schemas.objects import State, StateType

    state: State[None] = State(type=StateType[type_], message=message)
    assert exit_code_of(state) == code


def test_of_several_runs_the_gravest_counts() -> None:
    assert [worst_exit_code(codes) for codes in ((), (0, 3), (3, 1, 0), (1, 130))] == [DONE, SKIPPED, IN_ERROR, STOPPED]


def test_an_unknown_source_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["collect", "[red]missing"]) == cli.WRONG_USE
    assert capsys.readouterr().err == (
        "onepassword-source: There is no source named '[red]missing'. Create it with `onepassword-source apply FILE`. "
        "`onepassword-source list` lists all sources.\n"
    )


def test_a_block_made_invalid_in_the_ui_is_reported(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    source.save(token="with white space")
    assert collect(source, capsys, code=cli.IN_ERROR).startswith("ThirdPartyConfigError: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits_for", ["1Password", "the store"])
def test_a_signal_ends_a_command_that_waits_for_its_next_attempt(
    source: Source, waits_for: str, number: signal.Signals
) -> None:
    if waits_for == "1Password":
        source.sandbox.fault("429", retry_after="3600")
    else:
        source.url = "postgresql://user@127.0.0.1:1/none"
        source.save()
    command = [sys.executable, "-m", "deployments.cli", "collect", source.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: _waits(source.name) or process.poll() is not None, 300)
        process.send_signal(number)
        shown, complaint = process.communicate(timeout=120)
    assert process.returncode == cli.INTERRUPTED, complaint
    assert shown.startswith("Stopped: ")
    assert "Crash detected" not in complaint
    assert "Traceback" not in complaint
    assert run_states()[0] == ("Cancelled", "Stopped")


def _waits(name: str) -> bool:
    """Whether a task of a run of this source waits for its next attempt."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    by_name = filters.FlowRunFilterName(any_=[f"collect {name}"])
    running = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.RUNNING]))
    waiting = filters.TaskRunFilterStateName(any_=["AwaitingRetry"])
    with get_client(sync_client=True) as client:
        return bool(
            client.read_task_runs(
                flow_run_filter=filters.FlowRunFilter(name=by_name, state=running),
                task_run_filter=filters.TaskRunFilter(state=filters.TaskRunFilterState(name=waiting)),
            )
        )


@pytest.mark.torture
def test_ctrl_c_commits_the_page_and_leaves_nothing_behind(source: Source) -> None:
    """One API answers slowly, one not at all: a reader to wait for, and one that sleeps until its next attempt."""
    source.sandbox.fault("delay", api="signinattempts", seconds=2)
    source.sandbox.fault("500", api="auditevents")
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "deployments.cli", "collect", source.name]
    before = servers()
    code, shown = in_terminal(command, [("retrying audit (attempt", CTRL_C)], env)
    assert code == cli.INTERRUPTED
    assert "Stopped:" in shown
    assert "Traceback" not in shown
    assert servers() == before
    assert run_states()[0] == ("Cancelled", "Stopped")
    kept = {stream.api: stream.events for stream in source.status().streams}
    assert kept["audit"] == 0
    assert {kept["sign-in"], kept["itemUsage"]} <= {1000, 2000, 2200}
    assert source.status().state == "Stopped"


def servers() -> set[int]:
    """The temporary Prefect servers of this test session."""
    return {process.pid for process in psutil.process_iter() if _is_ours(process)}


def _is_ours(process: psutil.Process) -> bool:
    try:
        line, environment = process.cmdline(), process.environ()
    except psutil.Error:
        return False
    ours = environment.get("PREFECT_HOME") == os.environ["PREFECT_HOME"]
    return ours and "deployments.one_machine.guarded_server" in line


@pytest.mark.prefect
def test_an_error_is_shown_once_on_a_terminal(source: Source, tmp_path: Path) -> None:
    source.sandbox.fault("revoked")
    command = [sys.executable, "-m", "deployments.cli", "collect", source.name]
    code, shown = in_terminal(command, [])
    assert code == cli.IN_ERROR
    assert " ".join(shown.split()).count("The Events API refuses the token") == 1
