"""The product as a person runs it: `up`, `apply`, a run by deployment, `status`, `events`, Ctrl-C in the middle."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from security.search import DECRYPTED, Search
from support import empty_prefect
from support.one_machine import CLOSED, RunningUp, wait_until

from blocks.prefect_names import block_name
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.smoke]

TOTAL = 30_000
EVENTS_OF = """
SELECT count(DISTINCT uuid) FROM events JOIN streams ON streams.id = events.stream_id
JOIN sources ON sources.id = streams.source_id WHERE sources.name = '{name}'
"""
COMMAND = Path(sys.executable).with_name("onepassword-source")


class Machine(RunningUp):
    """A data directory of its own, and the real command line."""

    tokens: ClassVar[dict[str, str]] = {}

    @property
    def env(self) -> dict[str, str]:
        return {name: value for name, value in super().env.items() if name != "PYTHONPATH"}

    def start(self) -> None:
        empty_prefect.put_into(self.data)
        with (self.directory / "up.out").open("w") as out:
            self.process = subprocess.Popen(
                [COMMAND, "up"],
                env=self.env,
                cwd=self.directory,
                stdout=out,
                stderr=out,
                start_new_session=True,
                umask=0o022,  # of most people; the tests' own may be stricter
            )
        self.wait_for("started!")

    def call(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [COMMAND, *arguments], env=self.env, cwd=self.directory, capture_output=True, timeout=90, check=False
        )
        assert done.returncode == code, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    def apply(self, name: str, sandbox: SandboxProcess) -> str:
        """Apply a source; the id of the run that collects it at once."""
        config = {
            "name": name,
            "category": "sec/1password",
            "fields": {"_siemForward": True},
            "base_url": sandbox.base_url,
            "api_token": sandbox.token,
            "supported_apis": ["itemUsage", "sign-in", "audit"],
            "collect_from": "120d",
        }
        file = self.directory / "source.json"
        source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}
        file.write_text(json.dumps({"api.version": "v1", "source": source}))
        file.chmod(0o600)
        self.tokens[name] = sandbox.token
        (applied,) = json.loads(self.call("apply", "source.json", "--json"))
        assert applied["change"] == "created"
        return str(applied["flow_run_id"])

    def history(self, run: str) -> list[str]:
        found = self.ask("GET", "/api/flow_run_states/", params={"flow_run_id": run}).json()
        return [state["name"] for state in sorted(found, key=lambda state: str(state["timestamp"]))]

    def logs(self, run: str) -> list[str]:
        found = self.ask("POST", "/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}}).json()
        return [line["message"] for line in found]

    def wait_for_end(self, run: str) -> dict[str, Any]:
        ends = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        wait_until(lambda: self.state(run)["type"] in ends)
        return self.state(run)

    def count(self, query: str) -> tuple[int, ...]:
        with closing(sqlite3.connect(self.data / "events.db")) as database:
            return tuple(database.execute(query).fetchone())


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"), ())
    made.start()
    try:
        yield made
    finally:
        made.stop_if_running()


def test_from_a_configuration_to_events_by_a_run_of_the_deployment(machine: Machine) -> None:
    with running_sandbox(events=900, days=3) as sandbox:
        run = machine.apply("1Pass", sandbox)
        deployment = machine.deployment("1Pass")
        assert [schedule["schedule"]["interval"] for schedule in deployment["schedules"]] == [300]
        state = machine.wait_for_end(run)
        assert (state["type"], state["name"]) == ("COMPLETED", "Completed")
        assert state["message"].startswith("Collected: 900 new events")
        shown = ["Started", "Initialized", "Authenticated", "Collecting", "Completed"]
        assert [name for name in machine.history(run) if name in shown] == shown
        keys = [one["key"] for one in machine.ask("POST", "/api/artifacts/filter", json={}).json()]
        assert f"collect-{block_name('1Pass')}" in keys
        wait_until(lambda: any("audit: 300 new" in line for line in machine.logs(run)))  # logs follow in batches

        truth = {api: sandbox.events(api, "v2") for api in ("signinattempts", "itemusages", "auditevents")}
        written = machine.call("events", "1Pass", "--format", "ndjson").encode().splitlines()
        assert sorted(written) == sorted(body for bodies in truth.values() for body in bodies)
        status = json.loads(machine.call("status", "1Pass", "--json"))
        assert [api["events"] for api in status[0]["apis"]] == [300, 300, 300]
        assert "1Pass: unchanged" in machine.call("apply", "source.json")


def test_others_on_this_machine_can_read_nothing_that_all_this_left(machine: Machine) -> None:
    modes = machine.modes()
    assert {"events.db", "secrets.json", "prefect/postgresql-18/PG_VERSION", "worker.log"} <= modes.keys()
    assert {path: mode for path, mode in modes.items() if mode not in CLOSED} == {}


def test_a_run_is_planned_every_five_minutes(machine: Machine) -> None:
    deployment = machine.deployment("1Pass")["id"]

    def planned() -> list[dict[str, Any]]:
        wanted = {
            "deployments": {"id": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        return list(machine.ask("POST", "/api/flow_runs/filter", json=wanted).json())

    assert wait_until(planned)


def stop_in_the_middle(machine: Machine, name: str, sandbox: SandboxProcess) -> int:
    """Ctrl-C while a run of this source reads page after page; how many events there are then."""
    sandbox.fault("delay", seconds=0.3)
    run = machine.apply(name, sandbox)
    events = EVENTS_OF.format(name=name)
    wait_until(lambda: machine.count(events)[0] > 3000)
    assert machine.stop(signal.SIGINT) == []
    assert machine.kept_state(run) == ("CANCELLED", "Stopped")
    assert machine.count("SELECT count(*) FROM streams WHERE holder IS NOT NULL") == (0,)
    (kept,) = machine.count(events)
    assert kept % 1000 == 0, "whole pages alone"
    sandbox.clear_faults()
    return kept


@pytest.mark.torture  # test_up.py ends `up` and its worker by a signal
def test_ctrl_c_in_the_middle_commits_the_page_and_leaves_nothing(machine: Machine) -> None:
    with running_sandbox(bulk=True, events=TOTAL) as sandbox:
        assert stop_in_the_middle(machine, "big", sandbox) < TOTAL


@pytest.mark.torture
def test_after_ctrl_c_the_next_up_goes_on(machine: Machine) -> None:
    if not machine.is_running():
        machine.start()
    with running_sandbox(bulk=True, events=TOTAL) as sandbox, running_sandbox(events=3) as flaky:
        flaky.fault("500", api="auditevents")
        waiting = machine.apply("flaky", flaky)
        wait_until(lambda: machine.count("SELECT count(*) FROM streams WHERE failing_since_ns IS NOT NULL")[0])
        assert stop_in_the_middle(machine, "another", sandbox) < TOTAL
        assert machine.kept_state(waiting) == ("CANCELLED", "Stopped"), "a run that waits for its next attempt, too"
        machine.start()
        assert machine.wait_for_end(machine.run("another"))["message"].startswith("Collected: ")
        assert machine.count(EVENTS_OF.format(name="another")) == (TOTAL,)
        flaky.fault("revoked")
        refused = machine.wait_for_end(machine.run("flaky"))
        assert (refused["type"], refused["name"]) == ("FAILED", "Failed")
        assert refused["message"].startswith("ThirdPartyConfigError: ")
        assert "refuses the token" in machine.call("status", "flaky", code=1)


def test_after_all_that_no_token_is_left_but_in_the_encrypted_blocks(machine: Machine) -> None:
    """`make torture` searches more places, after every kind of failure."""
    key = json.loads((machine.data / "secrets.json").read_bytes())["encryption_key"]
    search = Search(machine.tokens, key=key)
    found = [*search.tree(machine.data), *search.data(machine.output.encode(), "what up says")]
    assert {find.secret for find in found if DECRYPTED in find.how} == set(machine.tokens), (
        "it looks in the right place"
    )
    assert [find for find in found if DECRYPTED not in find.how] == []
