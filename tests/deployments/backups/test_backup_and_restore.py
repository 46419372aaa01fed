"""A backup of a real `up` that collects and forwards, restored into another home, where it goes on collecting."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support import empty_prefect, siem_targets
from support.command_calls import source_config
from support.json_schemas import require_schema
from support.one_machine import wait_until
from support.up_process import COMMAND, Up

from blocks.http import tls
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.siem_targets import Target

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect

APIS = ("signinattempts", "itemusages", "auditevents")
PASSPHRASE = "correct horse battery staple"
KILLED = """
import os, signal, sys
import httpx
from blocks.backup import store_reader
from deployments import cli
point = sys.argv.pop(1)
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "store":
    store_reader._flush_log = die
if point == "in place":
    store_reader._sync_directory = die
send = httpx.Client.send
def watched(client, request, **options):
    if point == f"{request.method} {request.url.path.split('/')[2]}":
        die()
    return send(client, request, **options)
httpx.Client.send = watched
sys.exit(cli.main(sys.argv[1:]))
"""
KILLS = ("in place", "PATCH deployments")
"""Where a restore is killed: when the store is in place, and amid Prefect."""
SECONDS = 300.0
"""That a collection may take on a busy machine."""


@dataclass
class Machine:
    """An `up` with its sandbox and its SIEM, and what a person does with it."""

    up: Up
    sandbox: SandboxProcess
    siem: Target

    def api(self, method: str, path: str, body: object = None) -> Any:
        """A request to the Prefect server of `up`."""
        password = json.loads((self.up.data / "secrets.json").read_bytes())["api_password"]
        answer = httpx.request(
            method,
            f"{self.up.origin}/api{path}",
            json=body,
            auth=("admin", password),
            timeout=120,
            trust_env=False,
            verify=tls.trusted(),
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def bodies(self, source: str = "%") -> Counter[str]:
        return bodies(self.up.data / "events.db", source)

    def uuids(self, source: str) -> list[str]:
        return column(self.up.data / "events.db", "uuid", source)

    def deployment(self, flow: str, name: str) -> dict[str, Any]:
        query = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}
        (found,) = self.api("POST", "/deployments/filter", query)
        return dict(found)

    def automations(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.api("POST", "/automations/filter", {})}


def bodies(store: Path, source: str = "%") -> Counter[str]:
    return Counter(column(store, "body", source))


def column(store: Path, name: str, source: str) -> list[str]:
    query = (
        f"SELECT e.{name} FROM events e JOIN streams t ON t.id = e.stream_id JOIN sources s ON s.id = t.source_id "
        "WHERE s.name LIKE ?"
    )
    with closing(sqlite3.connect(store, timeout=60)) as connection:
        return [value for (value,) in connection.execute(query, (source,))]


def served(sandbox: SandboxProcess) -> Counter[str]:
    return Counter(body.decode() for api in APIS for body in sandbox.events(api))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=2400, days=3) as running:
        yield running


@pytest.fixture(scope="module")
def siem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with siem_targets.running("webhook", tmp_path_factory.mktemp("siem")) as target:
        yield target


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backup") / "b.tar.gz"


@pytest.fixture(scope="module")
def passphrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("passphrase") / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    return file


@pytest.fixture(scope="module")
def old(
    sandbox: SandboxProcess, siem: Target, backup: Path, passphrase: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    """The machine of which a backup was made while it collected. It has stopped since."""
    machine = Machine(Up(tmp_path_factory.mktemp("old")), sandbox, siem)
    empty_prefect.put_into(machine.up.data)
    machine.up.start()
    try:
        configure(machine)
        wait_until(lambda: sum(machine.bodies("one").values()) >= 2400, SECONDS)
        wait_until(siem.arrived, SECONDS)
        killed(machine.up, "POST variables", "backup", str(backup), "--passphrase-file", str(passphrase))
        assert not backup.exists()
        back_up_while_collecting(machine, backup, passphrase)
        machine.up.call("collect", "one", codes=frozenset({0, 3}))
    finally:
        machine.up.stop()
    return machine


def configure(machine: Machine) -> None:
    """Two sources, a SIEM, and what a person has made and changed in Prefect."""
    fields = {"_siemForward": True}
    configs = [source_config(name, machine.sandbox, collect_from="30d", fields=fields) for name in ("one", "stopped")]
    machine.up.apply("sources", {"sources": configs})
    machine.up.call("stop", "stopped", codes=frozenset({0}))
    document = {"name": "soc", "type": "webhook", "sources": ["one"], "config": machine.siem.config}
    machine.up.apply("siem", {"siem": document})
    found = machine.deployment("collect", "one")
    machine.api("PATCH", f"/deployments/{found['id']}", {"job_variables": {"env": {"MINE": "1"}}})
    reconcile = machine.deployment("reconcile", "one")
    schedule = {"schedule": {"interval": 7200, "anchor_date": "2026-01-01T00:00:00Z"}, "active": False}
    machine.api("PATCH", f"/deployments/{reconcile['id']}", {"schedules": [schedule]})
    slack = notification_block(machine, "https://hooks.example.invalid/T/B/secret")
    changed = machine.automations()["1Password: source in error"]
    action = {"type": "send-notification", "block_document_id": slack, "subject": "my subject", "body": "b"}
    kept = {name: changed[name] for name in ("name", "description", "enabled", "tags", "trigger")}
    machine.api("PUT", f"/automations/{changed['id']}", {**kept, "actions": [action]})
    machine.api("POST", "/variables/", {"name": "mine", "value": {"a": [1, 2]}, "tags": []})


def notification_block(machine: Machine, url: str) -> str:
    kind = machine.api("GET", "/block_types/slug/slack-webhook")
    schemas = machine.api("POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}})
    made = {"name": "security", "data": {"url": url}, "block_type_id": kind["id"], "block_schema_id": schemas[0]["id"]}
    return str(machine.api("POST", "/block_documents/", made)["id"])


def back_up_while_collecting(machine: Machine, backup: Path, passphrase: Path) -> None:
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            machine.sandbox.arrive("auditevents", 50)
            machine.up.call("collect", "one", codes=frozenset({0, 3}))

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        arguments = ("backup", str(backup), "--passphrase-file", str(passphrase), "--json")
        require_schema("backup", json.loads(machine.up.call(*arguments, codes=frozenset({0}))))
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def new(old: Machine, backup: Path, passphrase: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Another home, into which the backup was restored after a first attempt that was killed."""
    up = Up(tmp_path_factory.mktemp("new"))
    empty_prefect.put_into(up.data)
    for point in KILLS:
        killed(up, point, "restore", str(backup), "--passphrase-file", str(passphrase))
    refused = call(up, "up")
    assert refused.returncode == 1
    assert "was interrupted" in refused.stderr
    answer = json.loads(
        up.call("restore", str(backup), "--passphrase-file", str(passphrase), "--json", codes=frozenset({0}))
    )
    require_schema("restore", answer)
    assert answer["sound"]
    assert {one["source"] for one in answer["sources"]} == {"one", "stopped"}
    yield Machine(up, old.sandbox, old.siem)
    if up.process is not None and up.process.poll() is None:
        up.stop()


def killed(up: Up, point: str, *arguments: str) -> None:
    """A command that is killed at a point of KILLED."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, *arguments],
        env=up.env,
        cwd=up.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def call(up: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env=up.env, cwd=up.directory, capture_output=True, text=True, check=False
    )


def test_the_file_is_private_and_holds_no_legible_secret(old: Machine, backup: Path, tmp_path: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backup.parent.iterdir()] == [backup.name]
    subprocess.run(["tar", "xzf", backup], cwd=tmp_path, check=True)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (old.sandbox.token, "T/B/secret", old.siem.config["signing_secret"]):
        assert secret.encode() not in everything
    assert PASSPHRASE.encode() not in everything


def test_every_body_of_the_backup_is_in_the_restored_store(
    old: Machine, new: Machine, backup: Path, tmp_path: Path
) -> None:
    subprocess.run(["tar", "xzf", backup], cwd=tmp_path, check=True)
    copied = bodies(tmp_path / "store" / "events.db")
    assert sum(copied.values()) >= 2400
    assert new.bodies() == copied
    assert copied <= old.bodies(), "the old machine has collected since"


def test_it_goes_on_collecting_and_loses_nothing(new: Machine) -> None:
    new.sandbox.arrive("itemusages", 20)
    new.up.start()
    new.up.call("collect", "one", codes=frozenset({0, 3}))
    wait_until(lambda: new.bodies("one") == served(new.sandbox), SECONDS)
    assert json.loads(new.up.call("verify", "one", "--json"))["sound"]
    wait_until(lambda: set(new.siem.arrived()) >= set(new.uuids("one")), SECONDS)


def test_what_a_person_made_and_changed_in_prefect_is_there(new: Machine) -> None:
    assert new.deployment("collect", "one")["job_variables"]["env"]["MINE"] == "1"
    assert new.deployment("collect", "stopped")["paused"]
    assert not new.deployment("collect", "one")["paused"]
    (schedule,) = new.deployment("reconcile", "one")["schedules"]
    assert schedule["active"] is False
    (action,) = new.automations()["1Password: source in error"]["actions"]
    assert action["subject"] == "my subject"
    block = new.api("GET", f"/block_documents/{action['block_document_id']}?include_secrets=true")
    assert block["data"]["url"] == "https://hooks.example.invalid/T/B/secret"
    assert set(new.automations()) == {
        "1Password: source in error", "1Password: dead runs", "1Password: lost runs",
    }  # fmt: skip
    assert new.api("GET", "/variables/name/mine")["value"] == {"a": [1, 2]}


def test_the_restored_machine_knows_its_last_backup(new: Machine) -> None:
    """It was made on the old machine, after the copy: so the new one has none, and nothing warns."""
    assert '"backup"' not in new.up.call("check", "one", "--json")
