"""The compose files, read by Docker Compose itself and run by it on podman.

The images of PostgreSQL and Caddy are stand-ins that are made from Debian's packages, since no registry can be reached.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from install import tools
from install.engine import NETAVARK, Container
from support.one_machine import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from install.engine import Engine

STAND_INS = Path(__file__).parent / "images"
DEFAULT, POSTGRESQL = "compose.yaml", "compose.postgresql.yaml"
SECONDS = 900.0
FIRST, SECOND = 300, 150
"""The events of the two sandboxes."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tools.compose_folder(tmp_path)


@dataclass
class Project:
    """A running project of Docker Compose on podman."""

    engine: Engine
    files: list[Path]
    environment: dict[str, str]

    def call(self, *arguments: str, given: str = "") -> str:
        files = [part for file in self.files for part in ("--file", str(file))]
        done = subprocess.run(
            [str(tools.installed("docker-compose")), *files, *arguments],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def checking_health(self) -> Iterator[None]:
        """Call the health checks, as timers of systemd do for podman. Where there is no systemd, nothing else does."""
        over = threading.Event()

        def check() -> None:
            while not over.wait(2):
                running = ("podman", "ps", "--filter=label=com.docker.compose.project", "--format={{.Names}}")
                for name in self.engine.call(*running, code=None).split():
                    self.engine.run("podman", "healthcheck", "run", name)

        checker = threading.Thread(target=check)
        checker.start()
        try:
            yield
        finally:
            over.set()
            checker.join()

    def container(self, service: str, number: int = 1) -> Container:
        """The container of a service, through podman: `docker compose exec` needs a terminal's API of Docker's own."""
        label = f"label=com.docker.compose.service={service}"
        listed = self.engine.call("podman", "ps", "--all", "--sort=created", "--filter", label, "--format={{.Names}}")
        return Container(self.engine, sorted(listed.split())[number - 1])


@contextmanager
def running(engine: Engine, directory: Path, files: list[Path], **environment: str) -> Iterator[Project]:
    if not NETAVARK.exists():
        pytest.skip("containers do not find each other by name: netavark and aardvark-dns are not installed")
    with engine.service(directory / "podman.sock") as address, ExitStack() as stack:
        project = Project(engine, files, {**engine.environment, "DOCKER_HOST": address, **environment})
        try:
            stack.enter_context(project.checking_health())
            project.call("up", "--detach", "--no-build", "--pull=never", "--wait", f"--wait-timeout={SECONDS:.0f}")
            yield project
        finally:
            project.call("down", "--volumes", "--timeout=40")


@pytest.fixture(scope="session")
def stand_ins(engine: Engine, base: str) -> dict[str, str]:
    made = {}
    for name in ("postgresql", "caddy"):
        made[name] = f"localhost/stand-in-{name}"
        file = f"--file={STAND_INS / name}.Dockerfile"
        build = ("buildah", "build", "--quiet", "--isolation=chroot", "--network=host", "--layers", file)
        engine.call(*build, "--format=docker", f"--build-arg=BASE={base}", f"--tag={made[name]}", STAND_INS)
    return made


@pytest.fixture(autouse=True)
def _place(record_property: Callable[[str, object], None]) -> None:
    record_property("where", "Docker Compose on podman, Debian 12")


def source(name: str, port: int, token: str) -> str:
    config: dict[str, Any] = {"name": name, "base_url": f"http://127.0.0.1:{port}", "api_token": token}
    config |= {"collect_from": "14d", "supported_apis": ["sign-in", "itemUsage", "audit"]}
    return json.dumps({"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}})


def stored(container: Container) -> dict[str, int]:
    """The number of events of each source."""
    status = json.loads(container.call("onepassword-source", "status", "--json", code=None))
    return {one["name"]: sum(api["events"] for api in one["apis"]) for one in status}


def override(port: int) -> str:
    """What the test adds: sandboxes, which listen on loopback, and the way from the workers to them."""
    ways = "".join(f"python /forward.py 127.0.0.1 {8080 + n} sandbox-{n} 9000 & " for n in (1, 2))
    mount = [f"{STAND_INS / 'forward.py'}:/forward.py:ro"]
    sandboxes = {
        f"sandbox-{n}": {
            "image": "${ONEPASSWORD_SOURCE_IMAGE}",
            "entrypoint": ["/usr/bin/tini", "--", "/bin/sh", "-c"],
            "command": [
                (
                    "python /forward.py 0.0.0.0 9000 127.0.0.1 8080 & "
                    f"exec onepassword-source sandbox --port 8080 --events {events} --seed {n} --json"
                )
            ],
            "volumes": mount,
            "networks": ["outside"],
            "healthcheck": {"disable": True},
        }
        for n, events in ((1, FIRST), (2, SECOND))
    }
    worker = {
        "entrypoint": ["/usr/bin/tini", "--", "/bin/sh", "-c"],
        "command": [f"{ways}exec onepassword-source worker --health-port 8080"],
        "volumes": mount,
        "environment": {"ONEPASSWORD_SOURCE_RATE_LIMITS": "off"},
    }
    text = yaml.safe_dump({"services": {**sandboxes, "worker": worker}})
    return text + f"  proxy:\n    ports: !override\n      - 127.0.0.1:{port}:443\n"


@pytest.mark.skip(reason="its run to the end is not confirmed: Compose started the services, migrate was the last seen")
def test_compose_with_postgresql_two_workers_and_tls(
    engine: Engine, image: str, stand_ins: dict[str, str], folder: Path
) -> None:
    port = free_port()
    (folder / "test.yaml").write_text(override(port))
    images = {"POSTGRES_IMAGE": stand_ins["postgresql"], "CADDY_IMAGE": stand_ins["caddy"]}
    files = [folder / POSTGRESQL, folder / "test.yaml"]
    with running(engine, folder, files, ONEPASSWORD_SOURCE_IMAGE=image, **images) as project:
        first, second = (project.container("worker", number) for number in (1, 2))
        for number in (1, 2):
            token = json.loads(project.container(f"sandbox-{number}").logs().splitlines()[0])["token"]
            first.call("onepassword-source", "apply", "-", given=source(f"source-{number}", 8080 + number, token))
        wait_until(lambda: stored(first) == {"source-1": FIRST, "source-2": SECOND}, SECONDS)
        _assert_tls_and_login(project, folder, port)
        engine.call("podman", "stop", "--time=40", first.name)
        assert first.exit_code() != 137
        project.container("sandbox-1").python(MORE)
        wait_until(lambda: stored(second) == {"source-1": FIRST + 5, "source-2": SECOND}, SECONDS)
        second.call("onepassword-source", "verify", "source-1")


MORE = """
from urllib.request import Request, urlopen
urlopen(Request("http://127.0.0.1:8080/_sandbox/events/auditevents?count=5", method="POST"), timeout=60)
"""


def _assert_tls_and_login(project: Project, folder: Path, port: int) -> None:
    """Console and Prefect through Caddy, with a certificate of its own authority."""
    root = project.container("proxy").call("cat", "/data/caddy/pki/authorities/local/root.crt")
    context = ssl.create_default_context(cadata=root)
    password = (folder / "secrets" / "api_auth_string").read_text().strip().partition(":")[2]
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", timeout=60) as client:

        def get(host: str, path: str, **options: Any) -> httpx.Response:
            return client.get(path, headers={"Host": host}, extensions={"sni_hostname": host}, **options)

        assert "Log in" in get("console.localhost", "/console/login").text
        assert get("console.localhost", "/console/").status_code in {303, 307}
        assert get("prefect.localhost", "/api/admin/version").status_code == 401
        assert get("prefect.localhost", "/api/admin/version", auth=("admin", password)).status_code == 200


@pytest.mark.skip(reason="its run to the end is not confirmed")
def test_compose_default(engine: Engine, image: str, folder: Path) -> None:
    port = free_port()
    change = f"services:\n  source:\n    ports: !override\n      - 127.0.0.1:{port}:{port}\n"
    (folder / "test.yaml").write_text(f"{change}    environment:\n      ONEPASSWORD_SOURCE_PORT: '{port}'\n")
    files = [folder / DEFAULT, folder / "test.yaml"]
    with running(engine, folder, files, ONEPASSWORD_SOURCE_IMAGE=image):
        health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60)
        assert (health.status_code, health.json()) == (200, {"healthy": True})
