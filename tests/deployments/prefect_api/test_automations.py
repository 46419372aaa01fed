"""The automations that come with the project, on a real server: who is notified, whose changes stay."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psutil
import pytest
from support import prefect_database
from support.one_machine import environment, free_port, run_python, wait_until
from support.paths import ROOT
from support.webhook_receiver import webhook_receiver

from blocks.health import HealthEvent
from deployments.prefect_api import automations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.one_machine import RunningUp

pytestmark = pytest.mark.prefect

IN_ERROR, DEAD, LOST = "1Password: source in error", "1Password: dead runs", "1Password: lost runs"
TIME_NS = 1790000000123456789
FAR = {"scheduled_time": "2100-01-01T00:00:00Z"}  # so that no worker takes it up

RESOURCE = {"prefect.resource.id": "onepassword-source.source.s-1", "prefect.resource.name": "1Pass"}


@pytest.fixture
def server(running_up: RunningUp, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningUp]:
    """The running server, which this very process uses; without automations."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("ONEPASSWORD_SOURCE_NOTIFY", raising=False)
    for one in _automations(running_up).values():
        running_up.ask("DELETE", f"/api/automations/{one['id']}")
    ours = {
        PREFECT_API_URL: f"http://127.0.0.1:{running_up.port}/api",
        PREFECT_API_AUTH_STRING: ":".join(running_up.auth),
    }
    with temporary_settings(ours):
        yield running_up


def _ensure() -> list[str]:
    return list(automations.ensure().changes.values())


def _make_block(url: str) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    text = {"subject": "{{subject}}", "body": "{{body}}"}
    CustomWebhookNotificationBlock(name="receiver", url=url, json_data=text).save("receiver", overwrite=True)


def _publish(*events: tuple[str | None, str, str, str, str, str | None, str | None]) -> None:
    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    for api, name, severity, status, description, hint, code in events:
        event = HealthEvent(
            "5b0c", "s-1", "1Pass", api, TIME_NS, name, severity, status, "error", description, name, code, hint
        )
        labels = {"onepassword-source.severity": severity, "onepassword-source.status": status}
        emit_event(f"onepassword-source.health.{name}", resource=RESOURCE | labels, payload=event.as_json())
    EventsWorker.instance().drain()


def _automations(up: RunningUp) -> dict[str, dict[str, Any]]:
    found = up.ask("POST", "/api/automations/filter", json={}).json()
    assert len({one["name"] for one in found}) == len(found)
    return {one["name"]: one for one in found}


def test_a_source_in_error_is_notified_once_for_each_event_with_what_to_do(
    server: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _ensure() == ["created", "created", "created"]
    assert _ensure() == ["unchanged", "unchanged", "unchanged"]
    assert [action["type"] for action in _automations(server)[IN_ERROR]["actions"]] == ["do-nothing"]
    with webhook_receiver() as (url, received):
        _make_block(f"{url}/")
        monkeypatch.setenv("ONEPASSWORD_SOURCE_NOTIFY", "custom-webhook/receiver")
        assert _ensure() == ["updated", "unchanged", "unchanged"]
        monkeypatch.delenv("ONEPASSWORD_SOURCE_NOTIFY")
        assert _ensure() == ["unchanged", "unchanged", "unchanged"]  # a shell without the setting takes nothing away
        _publish(
            ("audit", "Silence", "Warning", "UnHealthy", "No event for a day.", None, None),
            ("audit", "ThirdPartyGenericError", "Warning", "UnHealthy", "A first attempt failed.", None, None),
            (
                "audit",
                "ThirdPartyConfigError",
                "Error",
                "UnHealthy",
                'The "x" lacks a scope.',
                "Issue another.",
                "scope",
            ),
            (None, "FirstPartyGenericError", "Error", "UnHealthy", "The store is <full>.", None, None),
            ("audit", "Recovered", "Error", "Healthy", "It is collected again.", None, None),
        )
        wait_until(lambda: len(received) >= 2)
        wait_until(lambda: _seen(server, "onepassword-source.health.Recovered"))
    assert {one.body["subject"]: one.body["body"].splitlines()[:-1] for one in received} == {
        "1Password source 1Pass: ThirdPartyConfigError": [
            'The "x" lacks a scope.',
            "",
            "What to do: Issue another.",
            "",
            "Source: 1Pass (audit)",
            "Error: ThirdPartyConfigError (scope)",
            "Since: 2026-09-21T14:13:20.123Z",
        ],
        "1Password source 1Pass: FirstPartyGenericError": [
            "The store is <full>.",
            "",
            "Source: 1Pass (all APIs)",
            "Error: FirstPartyGenericError",
            "Since: 2026-09-21T14:13:20.123Z",
        ],
    }
    assert len(received) == 2
    assert all(one.body["body"].splitlines()[-1].startswith("Event: http://127.0.0.1:") for one in received)


def test_a_run_that_was_planned_shortly_before_it_began_is_not_taken_for_dead_once_it_has_ended(
    server: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automations, "SILENT_SECONDS", 10.0)  # the least that Prefect takes
    _ensure()
    ended, dead = _planned(server, 2)
    for run in (ended, dead):
        for state in ("PENDING", "RUNNING"):
            _set(server, run, state)
        _beat(server, run)
    _set(server, ended, "COMPLETED")
    _beat(server, dead)
    wait_until(lambda: server.state(dead)["type"] == "CRASHED")
    wait_until(lambda: dead in _triggered(server))
    assert _triggered(server) == {dead}
    assert server.state(ended)["type"] == "COMPLETED"


def _planned(up: RunningUp, count: int) -> list[str]:
    """Runs that the server's scheduler has planned, of which there are no events; no worker takes them up."""
    up.plan("1Pass", FAR["scheduled_time"], count)
    found = [run["id"] for run in up.planned("1Pass", FAR["scheduled_time"]) if run["auto_scheduled"]]
    assert len(found) == count
    return found


def _set(up: RunningUp, run: str, state: str) -> None:
    up.ask("POST", f"/api/flow_runs/{run}/set_state", json={"state": {"type": state}, "force": True})


def _beat(up: RunningUp, run: str) -> None:
    event = _event(automations.HEARTBEAT, datetime.now(UTC))
    tag = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{automations.TAG}"}
    event |= {"resource": {"prefect.resource.id": f"prefect.flow-run.{run}"}, "related": [tag]}
    assert up.ask("POST", "/api/events", json=[event]).status_code == 204


def _triggered(up: RunningUp) -> set[str]:
    """The runs for which an automation has fired."""
    body = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}}
    events = up.ask("POST", "/api/events/filter", json=body).json()["events"]
    labels = [event["payload"]["triggering_labels"].get("prefect.resource.id", "") for event in events]
    return {label.removeprefix("prefect.flow-run.") for label in labels if label}


def _logs(up: RunningUp, run: str) -> list[dict[str, Any]]:
    return list(up.ask("POST", "/api/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}}).json())


def _event(name: str, occurred: datetime) -> dict[str, Any]:
    resource = {"prefect.resource.id": "onepassword-source.test"}
    return {"id": str(uuid4()), "occurred": occurred.isoformat(), "event": name, "resource": resource, "payload": {}}


def _edit(up: RunningUp, automation: dict[str, Any], **changes: Any) -> None:
    """As the UI does it."""
    kept = {name: automation[name] for name in ("name", "description", "enabled", "tags", "trigger", "actions")}
    assert up.ask("PUT", f"/api/automations/{automation['id']}", json=kept | changes).status_code == 204


def _seen(up: RunningUp, event: str) -> bool:
    body = {"filter": {"event": {"name": [event]}}}
    return bool(up.ask("POST", "/api/events/filter", json=body).json()["total"])


def test_a_changed_automation_stays_and_an_unchanged_one_is_updated(
    server: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_block("http://127.0.0.1:9/")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_NOTIFY", "custom-webhook/receiver")
    with monkeypatch.context() as older:
        older.setattr(automations, "BODY", "As it was shipped before.")
        older.setattr(automations, "SILENT_SECONDS", 90.0)
        _ensure()
    before = _automations(server)
    error, dead = before[IN_ERROR], before[DEAD]
    server.ask("PATCH", f"/api/automations/{error['id']}", json={"enabled": False})
    _edit(server, dead, name="Mine", trigger={**dead["trigger"], "within": 600})
    assert _ensure() == ["kept", "kept", "unchanged"]
    after = _automations(server)
    assert set(after) == {IN_ERROR, "Mine", LOST}
    assert (after[IN_ERROR]["enabled"], after["Mine"]["trigger"]["within"]) == (False, 600)

    server.ask("PATCH", f"/api/automations/{error['id']}", json={"enabled": True})
    assert _ensure() == ["updated", "kept", "unchanged"]
    assert "What to do" in _automations(server)[IN_ERROR]["actions"][0]["body"]


def test_what_older_versions_made_for_each_siem_is_removed(server: RunningUp) -> None:
    _ensure()
    kept = _automations(server)[IN_ERROR]
    for name, tags in (
        ("old 1", ["1password", "wake-1:2"]),
        ("old 2", ["1password", "wake-2:2"]),
        ("own", ["wake-1:2"]),
    ):
        older = {part: kept[part] for part in ("trigger", "actions")} | {"name": name, "tags": tags}
        assert server.ask("POST", "/api/automations/", json=older).status_code == 201
    assert _ensure() == ["unchanged", "unchanged", "unchanged"]
    assert set(_automations(server)) == {IN_ERROR, DEAD, LOST, "own"}


def test_an_automation_without_its_tags_is_taken_for_a_persons(server: RunningUp) -> None:
    _ensure()
    error = _automations(server)[IN_ERROR]
    _edit(server, error, tags=[])
    assert _ensure() == ["kept", "unchanged", "unchanged"]


def test_a_block_that_cannot_notify_is_a_warning_and_the_automations_are_made(
    server: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.system import Secret

    Secret(value="x").save("no-notifier", overwrite=True)
    for named, words in {
        "slack-webhook/none": "There is no block slack-webhook/none to notify with; make it in the Prefect UI",
        "nonsense": "There is no block nonsense",
        "secret/no-notifier": "The block secret/no-notifier cannot notify",
    }.items():
        monkeypatch.setenv("ONEPASSWORD_SOURCE_NOTIFY", named)
        assert words in automations.ensure().warnings[0]
    assert set(_automations(server)) == {IN_ERROR, DEAD, LOST}


def test_a_run_that_was_taken_up_and_never_begins_is_ended_and_one_that_does_is_not(
    server: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automations, "PENDING_SECONDS", 10.0)  # the least that Prefect takes
    _ensure()
    path = f"/api/deployments/{server.deployment('1Pass')['id']}/create_flow_run"
    never, soon = (
        str(server.ask("POST", path, json={"state": {"type": "SCHEDULED", "state_details": FAR}}).json()["id"])
        for _ in range(2)
    )
    for run in (never, soon):
        server.ask("POST", f"/api/flow_runs/{run}/set_state", json={"state": {"type": "PENDING"}, "force": True})
    server.ask("POST", f"/api/flow_runs/{soon}/set_state", json={"state": {"type": "RUNNING"}, "force": True})
    wait_until(lambda: server.state(never)["type"] == "CRASHED")
    assert server.state(never)["message"] == automations.LOST_MESSAGE
    assert server.state(soon)["type"] == "RUNNING"
    server.ask("POST", f"/api/flow_runs/{soon}/set_state", json={"state": {"type": "COMPLETED"}, "force": True})


def test_no_run_ends_in_a_state_with_a_name_of_our_own() -> None:
    """Prefect's pages would not find it, and the automation "dead runs" take it for dead after it."""
    from prefect.client.schemas.objects import TERMINAL_STATES

    root = ROOT
    floors = ("flows", "tasks", "deployments")
    code = "".join(path.read_text() for floor in floors for path in (root / floor).rglob("*.py"))
    assert re.findall(r"\b(?:Completed|Failed|Cancelled|Crashed)\([^)]*\bname=", code) == []
    assert set(automations.ENDED) == {kind.value.capitalize() for kind in TERMINAL_STATES}


@dataclass
class Fleet:
    """A Prefect server, and workers that know nothing of `up`."""

    directory: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        env = environment(self.directory, self.port)
        url = f"http://127.0.0.1:{self.port}/api"
        code = (
            "import json; from deployments.prefect_api.server_access import environment_for; "
            f"print(json.dumps(environment_for({url!r})))"
        )
        self.env = {**env, **json.loads(run_python(code, env, self.directory)), "PREFECT_WORKER_QUERY_SECONDS": "5"}
        auth = self.env["PREFECT_API_AUTH_STRING"]
        self.client = httpx.Client(base_url=url, auth=tuple(auth.split(":", 1)), timeout=60, trust_env=False)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            env=self.env,
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_server(self) -> subprocess.Popen[bytes]:
        process = self.start("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        wait_until(self.is_healthy, 400)
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start("worker", "start", "--pool", "onepassword-source", "--type", "process")

    def is_healthy(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def run(self, name: str, pages: int) -> str:
        found = self.client.get(f"/deployments/name/collect/{name}").json()
        body = {"parameters": {"source": name, "pages": pages}, "state": {"type": "SCHEDULED"}}
        answer = self.client.post(f"/deployments/{found['id']}/create_flow_run", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def state(self, run: str) -> str:
        return str(self.client.get(f"/flow_runs/{run}").json()["state"]["type"])

    def slots(self) -> int:
        return sum(one["active_slots"] for one in self.client.post("/v2/concurrency_limits/filter", json={}).json())

    def states(self, run: str) -> list[str]:
        found = self.client.get("/flow_run_states/", params={"flow_run_id": run}).json()
        return [one["type"] for one in sorted(found, key=lambda one: str(one["timestamp"]))]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """With its runs, which have process groups of their own."""
        first = psutil.Process(process.pid)
        for one in [first, *first.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    new_fleet = Fleet(tmp_path)
    try:
        yield new_fleet
    finally:
        for process in new_fleet.processes:
            if process.poll() is None:
                new_fleet.kill(process)
        new_fleet.client.close()


@pytest.mark.torture
def test_a_run_that_died_with_its_worker_crashes_and_a_healthy_one_outlives_a_killed_server(fleet: Fleet) -> None:
    server = fleet.start_server()
    code = """
from deployments.prefect_api import automations
from deployments.prefect_api.deploy import deploy_source
from deployments.prefect_api.deployment_specs import SourceDeployment
automations.ensure()
for name in ("dead", "well"):
    deploy_source(SourceDeployment(name, None, (), "stand_in.collect"))
"""
    run_python(code, fleet.env, fleet.directory)
    first = fleet.start_worker()
    dead = fleet.run("dead", pages=10_000)
    wait_until(lambda: fleet.state(dead) == "RUNNING", 180)
    time.sleep(5)  # for its first heartbeat to be in the database
    fleet.kill(first)
    died = time.monotonic()
    fleet.start_worker()
    well = fleet.run("well", pages=600)
    wait_until(lambda: fleet.state(well) == "RUNNING", 180)
    began = time.monotonic()
    assert fleet.state(dead) == "RUNNING"
    wait_until(lambda: fleet.state(dead) == "CRASHED", 300)
    took = time.monotonic() - died
    assert automations.SILENT_SECONDS - 40 < took < automations.SILENT_SECONDS + 60
    wait_until(lambda: fleet.slots() == 1)
    fleet.kill(server)
    fleet.start_server()
    wait_until(lambda: fleet.state(well) == "COMPLETED", 400)
    assert time.monotonic() - began > 270
    assert "CRASHED" not in fleet.states(well)


@pytest.mark.torture
def test_old_runs_with_their_logs_and_old_events_are_removed_and_newer_ones_stay(server: RunningUp) -> None:
    old, new = server.run("1Pass"), server.run("1Pass")
    for run in (old, new):
        wait_until(lambda run=run: server.state(run)["type"] == "COMPLETED")
    now = datetime.now(UTC)
    lines = [
        {"name": "x", "level": 20, "message": "x", "timestamp": now.isoformat(), "flow_run_id": run}
        for run in (old, new)
    ]
    assert server.ask("POST", "/api/logs/", json=lines).status_code == 201
    times = {"of-49-hours": now - timedelta(hours=49), "of-47-hours": now - timedelta(hours=47)}
    events = [_event(name, occurred) for name, occurred in times.items()]
    assert server.ask("POST", "/api/events", json=events).status_code == 204
    wait_until(lambda: all(_seen(server, name) for name in times))
    server.stop()
    for run, days in ((old, 15), (new, 13)):
        change = "UPDATE flow_run SET end_time = %s WHERE id = %s RETURNING id"
        assert prefect_database.execute(server.data, change, (now - timedelta(days=days), run))
    server.start()
    wait_until(lambda: server.ask("GET", f"/api/flow_runs/{old}").status_code == 404)
    wait_until(lambda: not _seen(server, "of-49-hours"))
    wait_until(lambda: not _logs(server, old))
    assert server.ask("GET", f"/api/flow_runs/{new}").status_code == 200
    assert _logs(server, new)
    assert _seen(server, "of-47-hours")
