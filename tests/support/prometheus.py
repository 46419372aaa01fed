"""A real Prometheus on loopback, and promtool: installed ones, or those that install_debian.sh unpacks."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.one_machine import free_port, wait_until
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = "onepassword-source"
SCRAPE_SECONDS = 10
"""The interval and the timeout of a scrape: a busy machine needs seconds."""
START_SECONDS = 300


def binary(name: str) -> str:
    """The path of `prometheus` or `promtool`. Skips the test if it is not installed."""
    unpacked = ROOT / ".venv" / "debian" / "usr" / "bin" / name
    found = str(unpacked) if unpacked.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}: tests/support/install_debian.sh unpacks it")
    return found


def promtool(*arguments: str, text: str | None = None) -> str:
    """Run promtool. Returns its output; asserts that it succeeds."""
    done = subprocess.run([binary("promtool"), *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes one target."""

    url: str

    def get(self, path: str, **parameters: Any) -> Any:
        """Query the API. Returns the data; asserts that the answer has no error and no warning."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=60, trust_env=False)
        found = answer.json()
        assert answer.status_code == httpx.codes.OK, f"{parameters}: {found}"
        assert not found.get("warnings"), f"{parameters}: {found['warnings']}"
        return found["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=expr)["result"]
        return found


@contextmanager
def scraping(target: str, directory: Path, rules: Path) -> Iterator[Prometheus]:
    """Run Prometheus with these rules until it has scraped the target, `host:port`, at least twice."""
    port = free_port()
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": JOB, "scrape_timeout": f"{SCRAPE_SECONDS}s", "static_configs": [{"targets": [target]}]}
        ],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [
        binary("prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (directory / "prometheus.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        found = Prometheus(f"http://127.0.0.1:{port}")
        try:
            wait_until(lambda: _is_ready(found), START_SECONDS)
            wait_until(lambda: _scrapes(found) >= 2, START_SECONDS)
            yield found
        finally:
            process.terminate()


def _is_ready(prometheus: Prometheus) -> bool:
    """While it starts, first nothing listens, then every answer is 503 and a text."""
    try:
        answer = httpx.get(f"{prometheus.url}/-/ready", timeout=60, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


def _scrapes(prometheus: Prometheus) -> int:
    found = prometheus.query(f'sum_over_time(up{{job="{JOB}"}}[10m])')
    return int(found[0]["value"][1]) if found else 0
