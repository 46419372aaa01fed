"""Podman and buildah from Debian, with a storage of their own, and a base image that is made from Debian's packages.

No registry of images is needed: `mmdebstrap` makes the root file system that stands for the base image. Both engines
run in a mount namespace of the tests. There the machine's second hierarchy of control groups can be taken away, which
crun does not support beside the first.
"""

from __future__ import annotations

import configparser
import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.one_machine import wait_until
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

STORAGE = ROOT / ".venv" / "install" / "containers"
"""Kept for the next call: making the base image and its layers takes minutes."""
BASE, IMAGE = "localhost/onepassword-source-base", "localhost/onepassword-source"
PACKAGES = "python3,python3-venv,ca-certificates"
SUITE = "bookworm"
SECONDS = 1500.0
FILES, PROCESSES_MAX = 20000, 4096
NEEDED = ("podman", "buildah", "mmdebstrap", "crun", "nsenter", "unshare")
NETAVARK = Path("/usr/lib/podman/netavark")
CERTIFICATES = Path("/etc/ssl/certs")
ENTER = "umount /sys/fs/cgroup/unified 2>/dev/null; echo ready; exec cat"
PIP_KEYS = {"index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout"}


class EngineError(AssertionError):
    """A call of podman or buildah ended with an exit code other than 0. Its output is the message."""


@dataclass(frozen=True)
class Engine:
    """`namespace` is the process whose mount namespace the engine uses."""

    directory: Path
    namespace: int

    def call(self, *command: str | Path, given: str = "", code: int | None = 0) -> str:
        """Run `podman …` or `buildah …`; its standard output. Raises EngineError for another exit code than `code`."""
        done = self.run(*command, given=given)
        if code is not None and done.returncode != code:
            raise EngineError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run(self, *command: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self.namespace}", "--mount", f"--wd={ROOT}"]
        return subprocess.run(
            [*enter, *map(str, command)],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        files = {"CONTAINERS_STORAGE_CONF": "storage.conf", "CONTAINERS_CONF": "containers.conf"}
        return {**os.environ, **{name: str(self.directory / file) for name, file in files.items()}}

    @contextmanager
    def service(self, socket: Path) -> Iterator[str]:
        """Podman's answer to clients of Docker; the address for DOCKER_HOST."""
        enter = ["nsenter", f"--target={self.namespace}", "--mount"]
        address = f"unix://{socket}"
        command = [*enter, "podman", "system", "service", "--time=0", address]
        with subprocess.Popen(command, env=self.environment) as process:
            try:
                wait_until(socket.exists)
                yield address
            finally:
                process.terminate()

    def inspect(self, kind: str, name: str) -> Any:
        (found,) = json.loads(self.call("podman", kind, "inspect", name))
        return found


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engines of this machine. The test is skipped if it has none, or may not use them."""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs root, for mounts and namespaces")
    STORAGE.mkdir(parents=True, exist_ok=True)
    _write_configuration()
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip("this machine allows no mount namespaces")
        yield Engine(STORAGE, holder.pid)
        holder.stdin.close()


def _write_configuration() -> None:
    places = f'graphroot = "{STORAGE / "graph"}"\nrunroot = "{STORAGE / "run"}"\n'
    (STORAGE / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{places}')
    # Podman's default limits are higher than those of this process, and only a privileged process may raise its own.
    files = min(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    limits = [f"nofile={files}:{files}", f"nproc={PROCESSES_MAX}:{PROCESSES_MAX}"]
    # Containers find each other by name with netavark only.
    network = 'network_backend = "netavark"\n' if NETAVARK.exists() else ""
    (STORAGE / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = {json.dumps(limits)}\n"
        f'[network]\n{network}network_config_dir = "{STORAGE / "networks"}"\n'
        f'[engine]\ntmp_dir = "{STORAGE / "run" / "libpod"}"\n'
    )


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """The base image: Debian's smallest root file system with Python."""
    if engine.run("podman", "image", "exists", BASE).returncode != 0:
        packed = STORAGE / "base.tar"
        made = engine.run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, packed)
        if made.returncode:
            pytest.skip(f"no root file system could be made: {made.stderr.strip().splitlines()[-1:]}")
        container = engine.call("buildah", "from", "scratch").strip()
        engine.call("buildah", "add", "--quiet", container, packed, "/")
        engine.call("buildah", "commit", "--quiet", "--rm", container, BASE)
        packed.unlink()
    trial = engine.run("podman", "run", "--rm", "--network=none", BASE, "python3", "--version")
    if trial.returncode:
        pytest.skip(f"this machine runs no containers: {trial.stderr.strip()}")
    return BASE


@pytest.fixture(scope="session")
def image(engine: Engine, base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, built from the project's Dockerfile."""
    pip = tmp_path_factory.mktemp("pip") / "pip.conf"
    _write_pip_configuration(pip)
    engine.call(
        "buildah",
        "build",
        "--quiet",
        "--format=docker",  # OCI's own has no HEALTHCHECK
        "--isolation=chroot",
        "--network=host",
        "--layers",
        f"--volume={CERTIFICATES}:{CERTIFICATES}:ro",
        f"--secret=id=pip.conf,src={pip}",
        f"--build-arg=BASE={base}",
        "--build-arg=REVISION=tested",
        "--file=deployments/container/Dockerfile",
        f"--tag={IMAGE}",
        ".",
    )
    return IMAGE


def _write_pip_configuration(path: Path) -> None:
    """pip's configuration of this machine, without what is only on it."""
    found = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    written = configparser.RawConfigParser()
    written["global"] = {"timeout": "180"}
    for line in found.stdout.splitlines():
        name, _, value = line.partition("=")
        key, text = name.rpartition(".")[2], value.strip("'")
        if key in PIP_KEYS and "file:" not in text:
            written["global"][key] = text
    path.touch(mode=0o600)
    with path.open("w") as file:
        written.write(file)


@dataclass
class Container:
    """A running container of the image."""

    engine: Engine
    name: str

    def call(self, *command: str, given: str = "", code: int | None = 0) -> str:
        return self.engine.call("podman", "exec", "--interactive", self.name, *command, given=given, code=code)

    def python(self, code: str) -> str:
        return self.call("python", "-P", "-c", code)

    def is_healthy(self) -> bool:
        """By the health check of the image, called as an engine calls it."""
        return self.engine.run("podman", "healthcheck", "run", self.name).returncode == 0

    def wait_until_healthy(self) -> None:
        def healthy() -> bool:
            assert self.is_running(), self.logs()
            return self.is_healthy()

        wait_until(healthy, 400)

    def is_running(self) -> bool:
        return bool(self.engine.inspect("container", self.name)["State"]["Running"])

    def exit_code(self) -> int:
        return int(self.engine.inspect("container", self.name)["State"]["ExitCode"])

    def logs(self) -> str:
        done = self.engine.run("podman", "logs", self.name)
        return done.stdout + done.stderr

    def processes(self) -> list[dict[str, str]]:
        """What runs in it, without the program that lists it."""
        return [one for one in json.loads(self.python(PROCESSES)) if one["pid"] != one["self"]]

    def stop(self) -> int:
        """Stop it as an engine does, with 40 seconds of patience. Its exit code: 137 if that was too short."""
        self.engine.call("podman", "stop", "--time=40", self.name)
        return self.exit_code()


PROCESSES = """
import json, os, pathlib
found = []
for path in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        status = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
        command = (path / "cmdline").read_bytes().replace(b"\\0", b" ").decode()
    except OSError:
        continue
    names = {"pid": "Pid", "parent": "PPid", "state": "State", "user": "Uid", "name": "Name", "capabilities": "CapEff"}
    one = {key: status[name].strip() for key, name in names.items()}
    found.append({**one, "command": command, "self": str(os.getpid())})
print(json.dumps(found))
"""
