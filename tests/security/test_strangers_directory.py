"""Every command in a directory of another user: nothing of it is imported, and no setting of it is read.

The commands come from the command line's own registry, so that a new one is tried too. Both forms of the program are
tried: the editable one of this checkout, and a wheel in an environment of its own.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest
from receivers import sumo_logic
from receivers.process import running_receiver
from support import installed_wheel, strangers_directory
from support.one_machine import free_port, wait_until

from deployments import cli
from deployments.prefect_api import postgresql
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from receivers.process import ReceiverProcess
    from support.strangers_directory import StrangersDirectory

pytestmark = pytest.mark.prefect

SECONDS = 240
EVENTS = 300
NAME, SIEM = "1Pass", "soc"
WRONG_USE = 2
ALLOWED = ("source.json", "out-", ".out-", ".demo")
"""What commands may open there: files that they are given, and the demo's own directory."""
REQUIRED = {"name": NAME, "file": "source.json", "old": NAME, "new": "other", "names": "team"}
"""What is given for each argument that a command must have."""
OTHERS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("backfill",): (NAME, "--start", "2d"),
    ("install-service",): ("--user", "--dry-run"),
    ("coverage",): (NAME, "--html", "out-coverage"),
    ("events",): (NAME, "--output", "out-events"),
    ("export",): (NAME, "--output", "out-export"),
    ("prune",): ("--older-than", "400d", "--yes"),
    ("delete",): ("other", "--yes"),
    ("names", "import"): ("-",),
    ("names", "remove"): ("--all", "--yes"),
    ("siem", "replay"): (SIEM, "--from", "7d", "--yes"),
    ("siem", "remove"): (SIEM, "--yes"),
}
"""Commands that want more than their arguments."""
NAMES = "uuid,kind,name,vault_uuid\nv1,vault,Finance,\n"
LAST = (("siem", "remove"), ("rename",), ("delete",))
ALONE = (
    *(("up",), ("console",), ("sandbox",), ("demo",), ("secrets", "rotate")),
    *(("server",), ("worker",), ("restore",), ("move",)),
)
"""They run until they are stopped, or not beside an `up`."""


@dataclass
class Program:
    """The program in one of its forms, called in another user's directory."""

    command: Path
    theirs: StrangersDirectory
    environment: dict[str, str]

    def start(self, *arguments: str, out: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.command), *arguments],
            cwd=self.theirs.path,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def call(self, *arguments: str, given: str = "") -> str:
        """Its output; it may end with 1, such as a check that has found something, but must have been used rightly."""
        process = self.start(*arguments)
        said, _ = process.communicate(given, timeout=SECONDS)
        assert process.returncode not in {WRONG_USE, None}, (arguments, said)
        assert process.returncode >= 0, (arguments, said)
        assert "unexpected error" not in said, (arguments, said)
        assert "Traceback" not in said, (arguments, said)
        self.require_untouched(arguments)
        return said

    def elsewhere(self, **settings: str) -> Program:
        """The same program with other settings."""
        return replace(self, environment={**self.environment, **settings})

    def stop(self, process: subprocess.Popen[str], what: str) -> None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
        self.require_untouched(what)

    def require_untouched(self, what: object) -> None:
        assert (self.theirs.imported, self.theirs.opened) == ([], []), what


@pytest.fixture(params=["editable", "wheel"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    command = Path(sys.executable).with_name("onepassword-source")
    if request.param == "wheel":
        command = installed_wheel.install(tmp_path) / "onepassword-source"
    theirs = strangers_directory.make(tmp_path / "theirs", tmp_path / "site", *ALLOWED)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "ONEPASSWORD_SOURCE_"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "PYTHONPATH": str(theirs.site),
        "ONEPASSWORD_SOURCE_DATA_DIR": str(tmp_path / "data"),
        "ONEPASSWORD_SOURCE_PORT": str(free_port()),
        "ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE": "a passphrase of twenty letters",
    }
    return Program(command, theirs, environment)


def test_nothing_of_a_strangers_directory_is_used_by_any_command(program: Program, tmp_path: Path) -> None:
    commands = dict(_commands())
    assert set(OTHERS) | set(LAST) | set(ALONE) <= set(commands)
    with running_sandbox(events=EVENTS, days=2) as sandbox:
        _write_source(program, sandbox.base_url, sandbox.token)
        with running_receiver("sumo_logic", tmp_path / "arrived") as receiver, _running_up(program, tmp_path):
            program.call("apply", "source.json")
            wait_until(lambda: time.sleep(1) or _events(program) == EVENTS, SECONDS)  # by a run of the worker
            for path in sorted(commands, key=lambda path: LAST.index(path) if path in LAST else -1):
                if path not in ALONE:
                    _call(program, path, commands[path], receiver, sandbox.token)


def _call(program: Program, path: tuple[str, ...], command: Any, receiver: ReceiverProcess, token: str) -> None:
    if path == ("siem", "add"):
        program.environment["SIEM_URL"] = receiver.url + sumo_logic.PATH
        program.call(*path, SIEM, "--source", NAME, "--type", "sumo-logic", "--set", 'url={"env": "SIEM_URL"}')
        wait_until(lambda: receiver.arrived().total() >= EVENTS, SECONDS)  # by a run of the worker
        return
    if path == ("backup",):
        program.call(*path, str(_backup_file(program)))  # it lists the directory that it writes to
        return
    name = SIEM if path[0] == "siem" else NAME
    required = [{**REQUIRED, "name": name}[parameter.name] for parameter in command.params if parameter.required]
    arguments = OTHERS.get(path, required)
    program.call(*path, *arguments, given={("token",): token, ("names", "import"): NAMES}.get(path, ""))
    for written in (one for one in arguments if one.startswith("out-")):
        assert (program.theirs.path / written).stat().st_size > 0, written  # there, though the command has left it


def _backup_file(program: Program) -> Path:
    return program.theirs.path.with_name("backup.tar.gz")


def test_nothing_of_it_is_used_without_up_either(program: Program, tmp_path: Path) -> None:
    """Prefect's server is started for each command."""
    with running_sandbox(events=EVENTS, days=2) as api:
        _write_source(program, api.base_url, api.token)
        program.call("apply", "source.json")
    program.call("backup", str(_backup_file(program)))
    restored = program.elsewhere(ONEPASSWORD_SOURCE_DATA_DIR=str(tmp_path / "restored"))
    assert "Restored" in restored.call("restore", str(_backup_file(program)))
    assert "Copied" in restored.call("move", "--to", f"sqlite:///{tmp_path / 'moved.db'}")
    program.call("secrets", "rotate")
    program.call("demo")
    sandbox = program.start("sandbox")
    assert sandbox.stdout is not None
    assert "127.0.0.1" in sandbox.stdout.readline()
    program.stop(sandbox, "sandbox")
    console = program.start("console", "--port", str(free_port()))
    assert console.stdout is not None
    wait_until(lambda: "Log in with" in console.stdout.readline(), SECONDS)
    program.stop(console, "console")


def test_nothing_of_it_is_used_on_several_machines(program: Program, tmp_path: Path) -> None:
    with _postgresql(tmp_path) as url, running_sandbox(events=EVENTS, days=2) as api:
        prefect = url("postgresql+asyncpg", "prefect")
        server = program.elsewhere(
            ONEPASSWORD_SOURCE_DATABASE_URL=url("postgresql", "events"),
            PREFECT_SERVER_DATABASE_CONNECTION_URL=prefect,
            PREFECT_SERVER_API_AUTH_STRING="admin:password",
            PREFECT_SERVER_ENCRYPTION_KEY=base64.urlsafe_b64encode(bytes(32)).decode(),
        )
        client = program.elsewhere(
            ONEPASSWORD_SOURCE_DATABASE_URL=url("postgresql", "events"),
            ONEPASSWORD_SOURCE_DATA_DIR=str(tmp_path / "client"),
            PREFECT_API_URL=f"http://127.0.0.1:{program.environment['ONEPASSWORD_SOURCE_PORT']}/api",
            PREFECT_API_AUTH_STRING="admin:password",
        )
        server.call("migrate")
        with _started(server, tmp_path, "server", "Prefect's API"), _started(client, tmp_path, "worker", "started!"):
            _write_source(client, api.base_url, api.token)
            wait_until(lambda: ": created" in client.call("apply", "source.json"), SECONDS)
            wait_until(lambda: time.sleep(1) or _events(client) == EVENTS, SECONDS)  # by a run of the worker


@contextmanager
def _postgresql(directory: Path) -> Iterator[Callable[[str, str], str]]:
    """A cluster with two databases. What it gives makes a URL of a scheme and a database."""
    if not postgresql.is_installed():
        pytest.skip(postgresql.unavailable_reason())
    cluster = postgresql.cluster_in(directory)
    cluster.make()
    with (directory / "database.log").open("wb") as log:
        process = cluster.start(log.fileno())
    try:
        assert cluster.wait_until_ready()
        host = quote(str(cluster.sockets), safe="")
        with psycopg.connect(f"postgresql://postgres@/postgres?host={host}", autocommit=True) as connection:
            connection.execute("CREATE DATABASE events")
            connection.execute("CREATE DATABASE prefect")
        yield lambda scheme, name: f"{scheme}://postgres@/{name}?host={host}"
    finally:
        cluster.stop()
        process.wait(SECONDS)


@contextmanager
def _started(program: Program, directory: Path, command: str, sign: str) -> Iterator[None]:
    """A command that runs until it is stopped. `sign` is in its output once it works."""
    out = directory / f"{command}.out"
    with out.open("w") as file, program.start(command, out=file) as process:
        try:
            wait_until(lambda: sign in out.read_text() or process.poll() is not None, SECONDS)
            assert process.poll() is None, out.read_text()
            yield
        finally:
            program.stop(process, command)


@contextmanager
def _running_up(program: Program, directory: Path) -> Iterator[None]:
    out = directory / "up.out"
    with out.open("w") as file, program.start("up", out=file) as process:
        try:
            wait_until(lambda: "Log in with" in out.read_text() or process.poll() is not None, SECONDS)
            assert process.poll() is None, out.read_text()
            yield
        finally:
            process.send_signal(signal.SIGINT)
    program.require_untouched("up")


def _commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or cli.app
    for name in group.commands:
        command = group.load(name)
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _write_source(program: Program, base_url: str, token: str) -> None:
    config = {
        "name": NAME,
        "base_url": base_url,
        "api_token": token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        "collect_from": "7d",
        "fields": {"_siemForward": True},
    }
    document = {"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}}
    (program.theirs.path / "source.json").write_text(json.dumps(document))


def _events(program: Program) -> int:
    status = json.loads(program.call("status", NAME, "--json"))
    return sum(api["events"] for one in status for api in one["apis"])


def test_the_traps_work(tmp_path: Path) -> None:
    """What the other tests rely on: Prefect's own ways are noticed in such a directory."""
    theirs = strangers_directory.make(tmp_path / "theirs", tmp_path / "site")
    code = "from prefect.flows import load_flow_from_entrypoint; load_flow_from_entrypoint('flows.collect.collect')"
    environment = {**os.environ, "PYTHONPATH": str(theirs.site), "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=theirs.path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert str(theirs.site / "imported") in " ".join(theirs.imported) or theirs.imported
    assert any(".env" in line for line in theirs.opened)
    assert any("prefect.toml" in line for line in theirs.opened)
    assert shutil.rmtree(theirs.path) is None
