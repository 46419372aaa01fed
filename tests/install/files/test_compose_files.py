"""The compose files and the Dockerfile, without an engine: what Docker Compose reads, and what is closed."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from install import tools
from support.paths import ROOT

from blocks import settings
from deployments.cli import app
from deployments.secret_files import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT, POSTGRESQL = "compose.yaml", "compose.postgresql.yaml"
DOCKERFILE = (ROOT / "deployments" / "container" / "Dockerfile").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tools.compose_folder(tmp_path)


def read(folder: Path, file: str) -> dict[str, Any]:
    """What Docker Compose makes of a file."""
    command = [tools.installed("docker-compose"), "--file", folder / file, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("file", [DEFAULT, POSTGRESQL])
def test_compose_file_is_valid_and_closed(folder: Path, file: str) -> None:
    services = read(folder, file)["services"]
    for name, service in services.items():
        assert "no-new-privileges:true" in service.get("security_opt", []) or name == "database"
        assert service.get("read_only", name == "database"), name
        assert service.get("cap_drop", ["ALL"]) == ["ALL"], name
        variables = service.get("environment", {})
        if service["image"].startswith("onepassword-source"):
            assert not set(variables) & set(VARIABLES), "secrets are files"
            given = {f"/run/secrets/{one['source']}" for one in service.get("secrets", [])}
            assert {value for key, value in variables.items() if key.endswith("_FILE")} == given, name
            command, *arguments = service.get("command") or ["up"]
            known = {flag for parameter in app.load(command).params for flag in parameter.opts}
            assert {one for one in arguments if one.startswith("--")} <= known, name
    published = [port.get("host_ip") for service in services.values() for port in service.get("ports", [])]
    assert published == (["127.0.0.1"] if file == DEFAULT else [None, None])


def test_what_the_proxy_leads_to_believes_it_and_nothing_else_reaches_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = yaml.safe_load((folder / POSTGRESQL).read_text())["services"]
    name = "ONEPASSWORD_SOURCE_TRUSTED_PROXIES"
    given = {service: one["environment"][name] for service, one in services.items() if name in one["environment"]}
    upstreams = set(re.findall(r"_UPSTREAM:(\w+):\d+", (folder / "Caddyfile").read_text()))
    assert set(given) == upstreams == {"console", "server"}
    for service, proxies in given.items():
        monkeypatch.setenv(name, proxies)
        assert all(ipaddress.ip_network(one).is_private for one in settings.trusted_proxies()), service
        assert "ports" not in services[service]
    assert "trusted_proxies" not in (folder / "Caddyfile").read_text(), "Caddy passes no header of a client on"


@pytest.mark.parametrize("file", [DEFAULT, POSTGRESQL])
def test_each_service_has_time_to_stop(folder: Path, file: str) -> None:
    """Podman 4 gives a service none if the file names none."""
    services = read(folder, file)["services"]
    assert [name for name, service in services.items() if "stop_grace_period" not in service] == []


def test_secrets_are_made_once_and_are_not_for_others(folder: Path) -> None:
    secrets = folder / "secrets"
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(before) == set(yaml.safe_load((folder / POSTGRESQL).read_text())["secrets"])
    assert len({text for name, text in before.items() if not name.endswith("url")}) == 5
    assert secrets.stat().st_mode & 0o777 == 0o700
    (secrets / "console_password").unlink()
    subprocess.run([folder / "make-secrets.sh"], check=True, capture_output=True)
    after = {path.name: path.read_text() for path in secrets.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"console_password"}


def test_the_image_has_the_version_of_the_program() -> None:
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"ARG VERSION={version}\n" in DOCKERFILE


def test_nothing_secret_gets_into_the_context_of_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored.index("*") < ignored.index("!deployments/") < ignored.index("deployments/container/secrets/")


@pytest.mark.parametrize("file", [DEFAULT, POSTGRESQL])
def test_images_are_pinned_by_version(folder: Path, file: str) -> None:
    texts = (folder / file).read_text() + DOCKERFILE
    images = re.findall(r"(?:docker\.io/\S+?):([\w.-]+)", texts)
    assert images
    assert all(re.match(r"\d+\.\d+", tag) for tag in images), images
