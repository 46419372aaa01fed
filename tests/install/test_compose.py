"""The compose files, read by Docker Compose itself and run by it on podman.

The images of PostgreSQL and Caddy are stand-ins that are made from Debian's packages, since no registry can be reached.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from install import tools
from install.engine import NETAVARK, Container
from support.one_machine import free_port, repeating, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from install.engine import Engine

STAND_INS = Path(__file__).parent / "images"
FORWARD = STAND_INS / "forward.py"
KILLED = 137
DEFAULT, POSTGRESQL = "compose.yaml", "compose.postgresql.yaml"
SERVICES = ("proxy", "console", "worker", "server", "migrate", "database")
SECONDS = 900.0
FIRST, SECOND = 300, 150
"""The events of the two sandboxes."""


@pytest.fixture(scope="session", autouse=True)
def _needed() -> None:
    """Checked first: building the images takes minutes."""
    tools.installed("docker-compose")
    if not NETAVARK.exists() or not NETAVARK.with_name("aardvark-dns").exists():
        pytest.skip("containers do not find each other by name: netavark and aardvark-dns are not installed")


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

    def up(self) -> None:
        """Start what does not run, and wait until all of it is healthy."""
        self.call("up", "--detach", "--no-build", "--pull=never", "--wait", f"--wait-timeout={SECONDS:.0f}")

    def apply(self, service: str, given: str) -> None:
        """As docs/install/container.md says."""
        assert ": created" in self.call("exec", "-T", service, "onepassword-source", "apply", "-", given=given)

    @contextmanager
    def checking_health(self) -> Iterator[None]:
        """Call the health checks, as timers of systemd do for podman. Where there is no systemd, nothing else does."""

        def check() -> None:
            for name in self.names():
                self.engine.run("podman", "healthcheck", "run", name)

        with repeating(check, 2):
            yield

    def names(self, *options: str) -> list[str]:
        of_compose = "--filter=label=com.docker.compose.project"
        return self.engine.call("podman", "ps", *options, of_compose, "--format={{.Names}}", code=None).split()

    def print_logs(self) -> None:
        for name in self.names("--all"):
            print(f"=== {name}", Container(self.engine, name).logs(), sep="\n")  # noqa: T201 - pytest shows it

    def container(self, service: str, number: int = 1) -> Container:
        """The container of a service, as podman sees it."""
        label = f"label=com.docker.compose.service={service}"
        listed = self.engine.call("podman", "ps", "--all", "--sort=created", "--filter", label, "--format={{.Names}}")
        return Container(self.engine, sorted(listed.split())[number - 1])


@contextmanager
def running(engine: Engine, directory: Path, files: list[Path], **environment: str) -> Iterator[Project]:
    with engine.service(directory / "podman.sock") as address, ExitStack() as stack:
        project = Project(engine, files, {**engine.environment, "DOCKER_HOST": address, **environment})
        try:
            stack.enter_context(project.checking_health())
            project.up()
            yield project
        except BaseException:
            project.print_logs()
            raise
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
    return {one["source"]: sum(api["events"] for api in one["apis"]) for one in status}


def sandbox(number: int, events: int, network: str) -> dict[str, Any]:
    """A service with a sandbox, which listens on loopback, and a program that lets other containers reach it."""
    passing_on = "python /forward.py 0.0.0.0 9000 127.0.0.1 8080"
    start = f"onepassword-source sandbox --port 8080 --events {events} --seed {number} --json"
    return {
        "image": "${ONEPASSWORD_SOURCE_IMAGE}",
        "entrypoint": ["/usr/bin/tini", "--", "/bin/sh", "-c"],
        "command": [f"{passing_on} & exec {start}"],
        "volumes": [f"{FORWARD}:/forward.py:ro"],
        "networks": [network],
        "healthcheck": {"disable": True},
    }


def token(container: Container) -> str:
    """The token of a sandbox, which it says first."""
    said = wait_until(lambda: container.logs().partition("\n")[0])
    return str(json.loads(said)["token"])


def lead(container: Container, number: int) -> None:
    """Make a sandbox's way into a container: there it is on loopback, where the API may be plain HTTP."""
    way = ("127.0.0.1", str(8080 + number), f"sandbox-{number}", "9000")
    container.engine.call("podman", "exec", "--detach", container.name, "python", "-c", FORWARD.read_text(), *way)


def override_postgresql(port: int) -> str:
    """What the test adds: two sandboxes, no limit of calls, and a port that is free."""
    services = {
        "sandbox-1": sandbox(1, FIRST, "outside"),
        "sandbox-2": sandbox(2, SECOND, "outside"),
        "worker": {"environment": {"ONEPASSWORD_SOURCE_RATE_LIMITS": "off"}},
    }
    return yaml.safe_dump({"services": services}) + f"  proxy:\n    ports: !override\n      - 127.0.0.1:{port}:443\n"


def override_default(port: int) -> str:
    settings = {"ONEPASSWORD_SOURCE_RATE_LIMITS": "off", "ONEPASSWORD_SOURCE_PORT": str(port)}
    text = yaml.safe_dump(
        {"services": {"sandbox-1": sandbox(1, FIRST, "default"), "source": {"environment": settings}}}
    )
    return text + f"    ports: !override\n      - 127.0.0.1:{port}:{port}\n"


def test_compose_with_postgresql_two_workers_and_tls(
    engine: Engine, image: str, stand_ins: dict[str, str], folder: Path
) -> None:
    port = free_port()
    (folder / "test.yaml").write_text(override_postgresql(port))
    images = {"POSTGRES_IMAGE": stand_ins["postgresql"], "CADDY_IMAGE": stand_ins["caddy"]}
    files = [folder / POSTGRESQL, folder / "test.yaml"]
    with running(engine, folder, files, ONEPASSWORD_SOURCE_IMAGE=image, **images) as project:
        first, second = (project.container("worker", number) for number in (1, 2))
        for number in (1, 2):
            lead(first, number)
            lead(second, number)
            given = source(f"source-{number}", 8080 + number, token(project.container(f"sandbox-{number}")))
            project.apply("worker", given)
        wait_until(lambda: stored(first) == {"source-1": FIRST, "source-2": SECOND}, SECONDS)
        _assert_tls_and_login(project, folder, port)
        engine.call("podman", "stop", "--time=40", first.name)
        assert first.exit_code() != KILLED, first.logs()
        for number in (1, 2):
            project.container(f"sandbox-{number}").python(MORE)
        wait_until(lambda: stored(second) == {"source-1": FIRST + 5, "source-2": SECOND + 5}, SECONDS)
        for number in (1, 2):
            second.call("onepassword-source", "verify", f"source-{number}")
        project.call("stop")
        ended = {service: project.container(service).exit_code() for service in SERVICES}
        assert KILLED not in ended.values(), ended
        assert second.exit_code() != KILLED, second.logs()


MORE = """
from urllib.request import Request, urlopen
urlopen(Request("http://127.0.0.1:8080/_sandbox/events/auditevents?count=5", method="POST"), timeout=60)
"""


def _assert_tls_and_login(project: Project, folder: Path, port: int) -> None:
    """Console and Prefect through Caddy, with a certificate of its own authority."""
    root = project.container("proxy").call("cat", "/data/caddy/pki/authorities/local/root.crt")
    context = ssl.create_default_context(cadata=root)
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", timeout=60) as client:

        def call(method: str, host: str, path: str, **options: Any) -> httpx.Response:
            sni = {"sni_hostname": f"{host}.localhost"}
            return client.request(method, path, headers={"Host": f"{host}.localhost"}, extensions=sni, **options)

        assert call("GET", "console", "/console/").headers["location"].startswith("/console/login")
        wrong = call("POST", "console", "/console/login", data={"password": "wrong"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
        form = {"password": secret(folder, "console_password"), "person": "Ada"}
        entered = call("POST", "console", "/console/login", data=form)
        assert (entered.status_code, "Secure" in entered.headers["set-cookie"]) == (303, True)
        page = call("GET", "console", "/console/")
        assert page.status_code == 200
        assert {"source-1", "source-2"} <= set(re.findall(r"source-\d", page.text))
        assert call("GET", "prefect", "/api/admin/version").status_code == 401
        login = httpx.BasicAuth(*secret(folder, "api_auth_string").split(":"))
        assert call("GET", "prefect", "/api/admin/version", auth=login).status_code == 200


def secret(folder: Path, name: str) -> str:
    return (folder / "secrets" / name).read_text().strip()


def test_compose_default(engine: Engine, image: str, folder: Path) -> None:
    port = free_port()
    (folder / "test.yaml").write_text(override_default(port))
    files = [folder / DEFAULT, folder / "test.yaml"]
    with running(engine, folder, files, ONEPASSWORD_SOURCE_IMAGE=image) as project:
        container, events = project.container("source"), project.container("sandbox-1")
        _assert_healthy(port)
        lead(container, 1)
        project.apply("source", source("1Pass", 8081, token(events)))
        wait_until(lambda: stored(container) == {"1Pass": FIRST}, SECONDS)
        project.call("stop", "source")
        assert container.exit_code() != KILLED, container.logs()
        assert container.logs().rstrip().endswith("Stopped.")
        project.up()
        _assert_healthy(port)
        assert stored(container) == {"1Pass": FIRST}
        lead(container, 1)
        events.python(MORE)
        container.call("onepassword-source", "collect", "1Pass", code=None)
        wait_until(lambda: stored(container) == {"1Pass": FIRST + 5}, SECONDS)
        container.call("onepassword-source", "verify", "1Pass")


def _assert_healthy(port: int) -> None:
    health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60)
    assert (health.status_code, health.json()) == (200, {"healthy": True})
