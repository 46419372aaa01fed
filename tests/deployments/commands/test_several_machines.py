"""`server`, `worker` and `migrate`: several machines, as processes on this one, with a PostgreSQL between them."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from support.certificates import HERE, SERVER_KEY, certificate, write_authority
from support.one_machine import free_port, wait_until

from blocks.store import schema
from deployments.prefect_api import postgresql, shared_server
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

COMMAND = Path(sys.executable).with_name("onepassword-source")
PASSWORD = "the-password-of-the-api"
START_SECONDS, STOP_SECONDS = 240, 60


@dataclass
class Network:
    """A PostgreSQL with two databases, and processes that share it. Each has a data directory of its own."""

    directory: Path
    cluster: postgresql.Cluster
    secrets: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def store_url(self) -> str:
        return self._url("postgresql", "events")

    def _url(self, scheme: str, database: str) -> str:
        return f"{scheme}://postgres@/{database}?host={quote(str(self.cluster.sockets), safe='')}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, name: str, **further: str) -> dict[str, str]:
        bare = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "ONEPASSWORD_"))}
        data = self.directory / name
        return {**bare, "ONEPASSWORD_SOURCE_DATA_DIR": str(data), "HOME": str(data), **further}

    def of_server(self, **further: str) -> dict[str, str]:
        databases = {
            shared_server.DATABASE: self._url("postgresql+asyncpg", "prefect"),
            "ONEPASSWORD_SOURCE_DATABASE_URL": self.store_url(),
        }
        port = {"ONEPASSWORD_SOURCE_PORT": str(self.port)}
        return self.environment("server", **databases, **self.secrets, **port, **further)

    def of_client(self, name: str) -> dict[str, str]:
        return self.environment(
            name,
            PREFECT_API_URL=f"{self.api}/api",
            PREFECT_API_AUTH_STRING=f"admin:{PASSWORD}",
            ONEPASSWORD_SOURCE_DATABASE_URL=self.store_url(),
            ONEPASSWORD_SOURCE_RATE_LIMITS="off",
        )

    def call(self, *arguments: str, env: dict[str, str], code: int = 0, given: str = "") -> str:
        done = subprocess.run(
            [COMMAND, *arguments],
            env=env,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self.directory,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def start(self, name: str, *arguments: str, env: dict[str, str]) -> None:
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [COMMAND, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def objects(self, name: str) -> list[dict[str, Any]]:
        """The lines of a log of JSON."""
        return [json.loads(line) for line in self.log(name).read_text().splitlines()]

    def stop(self, name: str) -> int:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def wait_for(self, url: str) -> None:
        def answers() -> bool:
            ended = {name: process.poll() for name, process in self.processes.items() if process.poll() is not None}
            assert not ended, {name: self.log(name).read_text()[-2000:] for name in ended}
            try:
                return httpx.get(url, verify=False).status_code == 200  # noqa: S501 - a certificate of this test
            except httpx.TransportError:
                return False

        wait_until(answers, START_SECONDS)

    def prefect(self, path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.api}/api/{path}", json=body, auth=("admin", PASSWORD), timeout=60)
        answer.raise_for_status()
        return answer.json()

    def events(self) -> int:
        with psycopg.connect(self.store_url()) as connection:
            found = connection.execute("SELECT count(*) FROM events").fetchone()
        assert found
        return int(found[0])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not postgresql.is_installed():
        pytest.skip(postgresql.unavailable_reason())
    directory = tmp_path_factory.mktemp("network")
    cluster = postgresql.cluster_in(directory)
    cluster.make()
    with (directory / "database.log").open("wb") as log:
        database = cluster.start(log.fileno())
    assert cluster.wait_until_ready()
    url = f"postgresql://postgres@/postgres?host={quote(str(cluster.sockets), safe='')}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE events")
        connection.execute("CREATE DATABASE prefect")
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    made = Network(directory, cluster, {shared_server.AUTH: f"admin:{PASSWORD}", shared_server.KEY: key})
    yield made
    for process in made.processes.values():
        process.kill()
        process.wait()
    cluster.stop()
    database.wait(STOP_SECONDS)


@contextmanager
def sandbox_with(count: int) -> Iterator[SandboxProcess]:
    with running_sandbox(events=count, days=3) as sandbox:
        yield sandbox


def source(name: str, sandbox: SandboxProcess) -> str:
    config = {"name": name, "base_url": sandbox.base_url, "api_token": sandbox.token, "collect_from": "7d"}
    config["supported_apis"] = ["sign-in", "itemUsage", "audit"]
    return json.dumps({"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}})


pytestmark = pytest.mark.prefect


def test_a_server_without_password_key_or_database_does_not_start(network: Network) -> None:
    for missing in shared_server.REQUIRED:
        env = {name: value for name, value in network.of_server().items() if name != missing}
        assert f"Not set: {missing} (" in network.call("server", env=env, code=2)


def test_a_server_with_a_wrong_proxy_does_not_start(network: Network) -> None:
    env = network.of_server(ONEPASSWORD_SOURCE_TRUSTED_PROXIES="10.0.0.5, ingress")
    assert "TRUSTED_PROXIES has 'ingress', which is no address" in network.call("server", env=env, code=2)


def test_a_worker_without_a_server_does_not_start(network: Network) -> None:
    assert "PREFECT_API_URL is not set" in network.call("worker", env=network.environment("alone"), code=2)


def test_migrate_makes_both_schemas_and_changes_nothing_the_second_time(network: Network) -> None:
    first = network.call("migrate", env=network.of_server())
    assert f"The store has schema version {schema.HEAD} (created)." in first
    assert "Prefect's database has the schema of this version." in first
    second = network.call("migrate", env=network.of_server())
    assert f"{schema.HEAD} (unchanged)." in second
    alone = {name: value for name, value in network.of_server().items() if name != shared_server.DATABASE}
    assert "was left alone" in network.call("migrate", env=alone)


def test_migrate_reports_what_prefect_said(network: Network) -> None:
    env = network.of_server() | {shared_server.DATABASE: network._url("postgresql+asyncpg", "none")}
    printed = network.call("migrate", env=env, code=1)
    assert 'database "none" does not exist' in printed
    assert "`onepassword-source migrate` again" in printed


def test_two_workers_collect_from_one_server_and_one_may_stop(network: Network) -> None:
    with sandbox_with(600) as first, sandbox_with(300) as second:
        arguments = ("--host", "127.0.0.1", "--name", "server")
        network.start("server", "server", *arguments, "--log-format", "json", env=network.of_server())
        network.wait_for(f"{network.api}/healthz")
        network.call("apply", "-", given=source("one", first), env=network.of_client("apply"))
        port = free_port()
        of_one = network.of_client("one") | {"ONEPASSWORD_SOURCE_LOG_FORMAT": "json"}
        network.start("one", "worker", "--name", "one", "--health-port", str(port), env=of_one)
        network.wait_for(f"http://127.0.0.1:{port}/health")
        wait_until(lambda: network.events() == 600, START_SECONDS)
        network.start("two", "worker", "--name", "two", env=network.of_client("two"))
        wait_until(
            lambda: (
                {"one", "two"}
                == {one["name"] for one in network.prefect("work_pools/onepassword-source/workers/filter", {})}
            ),
            START_SECONDS,
        )
        assert network.stop("one") in {0, 1, 128 + signal.SIGTERM}
        network.call("apply", "-", given=source("two", second), env=network.of_client("apply"))
        wait_until(lambda: network.events() == 900, START_SECONDS)
        assert "SIGTERM" not in network.log("two").read_text()
        assert "collected" in {line["event"] for line in network.objects("one")}
        first_line = network.objects("server")[0]
        assert (first_line["part"], first_line["event"], first_line["url"]) == ("server", "ready", network.api)
        assert PASSWORD not in network.log("server").read_text()


def test_the_server_has_the_guard_and_no_open_door(network: Network) -> None:
    api = network.api
    assert httpx.get(f"{api}/api/admin/version").status_code == 401
    assert httpx.get(f"{api}/api/admin/version", auth=("admin", PASSWORD)).status_code == 200
    assert httpx.get(f"{api}/healthz", headers={"Host": "evil.example"}).status_code == 400
    assert httpx.get(f"{api}/healthz", headers={"Host": "server"}).status_code == 200
    origin = {"Origin": "https://evil.example"}
    assert httpx.get(f"{api}/api/admin/version", auth=("admin", PASSWORD), headers=origin).status_code == 403
    assert httpx.get(f"{api}/metrics").status_code == 401  # `server` is a name beyond this machine
    metrics = httpx.get(f"{api}/metrics", auth=("admin", PASSWORD), timeout=30)
    assert (metrics.status_code, 'source="one"' in metrics.text) == (200, True)
    assert "onepassword_source_up_" not in metrics.text


def test_a_worker_survives_a_server_that_is_away(network: Network) -> None:
    port = free_port()
    env = network.of_client("three")
    network.start("three", "worker", "--name", "three", "--health-port", str(port), env=env)
    network.wait_for(f"http://127.0.0.1:{port}/health")
    network.stop("server")
    wait_until(lambda: "does not answer" in network.log("three").read_text(), START_SECONDS)
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    network.start("server", "server", env=network.of_server())
    wait_until(lambda: "answers again" in network.log("three").read_text(), START_SECONDS)
    network.stop("three")


def test_the_server_serves_https_with_a_certificate(network: Network) -> None:
    network.stop("server")
    chain, key = network.directory / "tls.crt", network.directory / "tls.key"
    chain.write_bytes(certificate(HERE).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(SERVER_KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    authority = write_authority(network.directory / "ca.crt")
    tls = ("--tls-certificate", str(chain), "--tls-key", str(key))
    network.start("server", "server", *tls, env=network.of_server())
    secure = network.api.replace("http:", "https:")
    network.wait_for(f"{secure}/healthz")
    client = network.of_client("four") | {"PREFECT_API_URL": f"{secure}/api", "PREFECT_API_SSL_CERT_FILE": authority}
    with sandbox_with(30) as third:
        assert "created" in network.call("apply", "-", given=source("three", third), env=client)
    untrusting = {name: value for name, value in client.items() if name != "PREFECT_API_SSL_CERT_FILE"}
    assert "does not answer" in network.call("apply", "-", given=source("three", third), env=untrusting, code=1)
    network.stop("server")
    refused = network.call("server", "--tls-certificate", str(chain), env=network.of_server(), code=2)
    assert "--tls-key is missing" in refused
