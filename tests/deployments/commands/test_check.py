"""`check`: each of its lines, ok and failed, with real servers, stores, tokens and a real Prefect server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.check_findings import STEPS, external
from support.values import SOURCE

from blocks.store import sources
from blocks.store.engine import open_engine
from deployments import cli
from deployments.checks import server

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess


pytestmark = pytest.mark.usefixtures("one_authority")


@pytest.fixture
def saved_source(url: str, api: SandboxProcess) -> None:
    engine = open_engine(url)
    sources.save(engine, replace(SOURCE, base_url=api.base_url))
    engine.dispose()


@pytest.mark.parametrize("hangs", [False, True], ids=["gone", "hangs"])
def test_a_prefect_server_that_does_not_answer_hides_nothing_else(
    saved_source: None, hangs: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "HEALTH_SECONDS", 0.2)
    monkeypatch.setattr("deployments.prefect_api.server_access.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1] if hangs else 1
        external(monkeypatch, f"http://127.0.0.1:{port}/api")
        assert cli.main(["check", SOURCE.name, "--json"]) == cli.IN_ERROR
    document = json.loads(capsys.readouterr().out)
    found = {one["step"]: one for one in document["checks"]}
    assert (document["source"], document["ok"], list(found)) == (SOURCE.name, False, STEPS)
    assert found["Prefect server"]["result"] == "failed"
    assert "does not answer" in found["Prefect server"]["description"]
    assert {found[step]["result"] for step in ("DNS", "TLS", "clock", "store", "disk")} == {"ok"}
    others = ("configuration", "introspection", "scopes", "token expiry", "schedule", "runner")
    assert {found[step]["result"] for step in others} == {"not checked"}


def test_something_else_than_a_prefect_server(
    saved_source: None, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    external(monkeypatch, f"{api.base_url}/api")
    assert cli.main(["check", SOURCE.name]) == cli.IN_ERROR
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(STEPS), "one line each"
    assert "answered 404 to a health check. Check that PREFECT_API_URL ends in /api" in out


def test_a_source_that_does_not_exist_and_a_machine_without_prefect(tmp_path: Path) -> None:
    """In a process of its own: this one may have imported Prefect with another directory."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "deployments.cli", "check", "missing"]
    env["ONEPASSWORD_SOURCE_DATA_DIR"] = str(tmp_path / "new")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == cli.WRONG_USE
    assert "There is no source named 'missing'" in done.stderr
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()], "nothing is made"
