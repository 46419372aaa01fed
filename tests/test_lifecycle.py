"""Sources managed while `up` runs: with runs that wait in their retries, and commands that are killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.one_machine import wait_until
from support.paths import SUPPORT
from support.terminal import in_terminal
from test_end_to_end import COMMAND, Machine

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

KILL_AT = SUPPORT / "kill_at.py"
KILLED = -9


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"), ())
    try:
        made.start()
        yield made
    finally:
        made.stop_if_running()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=90, days=1) as running:
        yield running


def waiting_run(machine: Machine, name: str) -> str:
    """A new run of which one API waits for its next attempt."""
    since_ns, run = time.time_ns(), machine.run(name)
    wait_for_waiting(machine, run, since_ns)
    return run


def wait_for_waiting(machine: Machine, run: str, since_ns: int) -> None:
    failed = f"SELECT count(*) FROM streams WHERE holder = '{run}' AND error_ns > {since_ns}"
    wait_until(lambda: machine.count(failed)[0])


def was_stopped(machine: Machine, run: str) -> bool:
    state = machine.wait_for_end(run)
    return (state["type"], state["message"].partition(":")[0]) == ("CANCELLED", "Stopped")


def started(shown: str) -> str:
    """The id of the run that a command says it has started."""
    assert "The run 'collect " in shown
    return shown.rpartition("(")[2].split(")")[0]


def deployments(machine: Machine) -> dict[str, bool]:
    found = machine.ask("POST", "/api/deployments/filter", json={}).json()
    return {one["name"]: one["paused"] for one in found}


def test_a_run_that_waits_in_its_retries_is_no_obstacle(machine: Machine, sandbox: SandboxProcess) -> None:
    machine.wait_for_end(machine.apply("1Pass", sandbox))
    sandbox.fault("500", api="auditevents")
    waiting = waiting_run(machine, "1Pass")

    assert machine.call("stop", "1Pass").startswith("1Pass: stopped.")
    assert was_stopped(machine, waiting)
    assert machine.count("SELECT count(*) FROM streams WHERE holder IS NOT NULL") == (0,)
    assert json.loads(machine.call("list", "--json"))[0]["health"] == "stopped"
    by_hand = waiting_run(machine, "1Pass")
    machine.call("start", "1Pass")
    assert not deployments(machine)["1Pass"]

    since_ns = time.time_ns()
    second = started(machine.call("restart", "1Pass"))
    assert was_stopped(machine, by_hand)
    wait_for_waiting(machine, second, since_ns)

    new = sandbox.issue_token()
    env = {name: value for name, value in machine.env.items() if name != "ONEPASSWORD_SOURCE_API_TOKEN"}
    code, shown = in_terminal([str(COMMAND), "token", "1Pass"], [("New API token of 1Pass: ", f"{new}\n")], env=env)
    assert (code, new in shown) == (0, False), shown
    machine.tokens["1Pass"] = new
    assert was_stopped(machine, second)
    sandbox.clear_faults()
    third = started(shown.replace("\r\n", ""))
    assert machine.wait_for_end(third)["message"].startswith("Collected: ")
    assert machine.count("SELECT count(*), count(DISTINCT stream_id || uuid) FROM events") == (90, 90)


def test_a_changed_file_is_collected_at_once(machine: Machine, sandbox: SandboxProcess) -> None:
    file = machine.directory / "source.json"
    source = json.loads(file.read_text())
    # The file's own token is older than the one in use, and would be refused.
    source["source"]["config"] |= {"description": "other", "api_token": machine.tokens["1Pass"]}
    file.write_text(json.dumps(source))
    (answer,) = json.loads(machine.call("apply", "source.json", "--json"))
    assert (answer["change"], answer["restarted"]) == ("updated", True)
    assert machine.wait_for_end(answer["flow_run_id"])["message"].startswith("Collected: ")


def test_a_deletion_ends_the_run_that_waits_and_apply_goes_on_from_there(
    machine: Machine, sandbox: SandboxProcess
) -> None:
    sandbox.fault("500", api="auditevents")
    waiting = waiting_run(machine, "1Pass")
    assert machine.call("delete", "1Pass") == "1Pass: deleted. 90 events are kept.\n"
    assert was_stopped(machine, waiting)
    assert "1Pass" not in deployments(machine)
    sandbox.clear_faults()
    (answer,) = json.loads(machine.call("apply", "source.json", "--json"))
    assert answer["change"] == "revived"
    assert "0 new events" in machine.wait_for_end(answer["flow_run_id"])["message"]


def killed(machine: Machine, point: int, *arguments: str) -> bool:
    """Whether the command came to that point."""
    command = [sys.executable, str(KILL_AT), str(point), *arguments]
    done = subprocess.run(command, env=machine.env, cwd=machine.directory, capture_output=True, timeout=90, check=False)
    assert done.returncode in {0, KILLED}, done.stderr.decode()
    return done.returncode == KILLED


@pytest.mark.torture
def test_killed_commands_are_completed_by_the_next_call(machine: Machine, sandbox: SandboxProcess) -> None:
    if "1Pass" not in deployments(machine):
        machine.wait_for_end(machine.apply("1Pass", sandbox))
    points = range(6, 60, 3)
    for point in points:
        if not killed(machine, point, "rename", "1Pass", "acme"):
            break
        assert sum(not paused for paused in deployments(machine).values()) <= 1, "never two that run"
    if "1Pass" in json.dumps(json.loads(machine.call("list", "--json"))) or "1Pass" in deployments(machine):
        machine.call("rename", "1Pass", "acme")
    assert deployments(machine) == {"acme": False}
    assert machine.wait_for_end(machine.run("acme"))["message"].startswith("Collected: ")

    for point in points:
        if not killed(machine, point, "delete", "acme", "--purge", "--yes"):
            break
    if json.loads(machine.call("list", "--json")) or deployments(machine):
        machine.call("delete", "acme", "--purge", "--yes")
    assert deployments(machine) == {}
    assert machine.count("SELECT count(*) FROM events") == (0,)
    assert machine.ask("POST", "/api/block_documents/filter", json={}).json() == []
    machine.call("apply", "source.json")
