"""What a process that uses Prefect keeps when it leaves the working directory, and that all of them do."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from support.paths import ROOT

from blocks import settings
from deployments import working_directory
from deployments.prefect_api import server_access

STARTS_PYTHON = {
    "blocks/python_process.py",
    "deployments/prefect_api/postgresql.py",  # -IS: isolated, and nothing is imported
    "deployments/commands/worker.py",  # execve with a command line of python_process
    "blocks/extras.py",  # a command line that a person is shown
    "deployments/commands/install_service.py",  # the path of the program in a unit
    "deployments/service/installer.py",  # the same: who may change it
    "deployments/one_machine/worker.py",  # the file that execve runs, beside a command line of python_process
}
"""All that may name the interpreter."""


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (*working_directory.FILE_VARIABLES, working_directory.DATABASE_URL):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", "data")
    return tmp_path / "here"


def test_it_works_in_an_empty_directory_of_its_own(somewhere: Path) -> None:
    working_directory.leave()
    assert Path.cwd() == somewhere / "data" / "empty"
    assert list(Path.cwd().iterdir()) == []
    assert Path.cwd().stat().st_mode & 0o777 == 0o700


def test_what_a_person_has_named_stays_the_same(somewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", "sqlite:///own/events.db?timeout=5")
    monkeypatch.setenv("SSL_CERT_FILE", "own/ca.pem")
    monkeypatch.setenv("PREFECT_PROFILES_PATH", "~/profiles.toml")
    working_directory.leave()
    assert settings.data_dir() == somewhere / "data"
    assert settings.database_url() == f"sqlite:///{somewhere}/own/events.db?timeout=5"
    assert os.environ["SSL_CERT_FILE"] == str(somewhere / "own" / "ca.pem")
    assert os.environ["PREFECT_PROFILES_PATH"] == str(Path.home() / "profiles.toml")
    assert os.environ["PREFECT_HOME"] == ""


@pytest.mark.parametrize("url", ["", "sqlite:////srv/events.db", "sqlite:///:memory:", "postgresql://u@h/d"])
def test_a_database_that_is_named_in_full_stays_so(somewhere: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    working_directory.leave()
    assert os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] == url


@pytest.mark.parametrize("at", [None, server_access.LOOPBACK_ONLY])
def test_activating_prefect_leaves_the_directory(
    somewhere: Path, monkeypatch: pytest.MonkeyPatch, at: server_access.ListenAddress | None
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "PREFECT_API_URL": ""})
    monkeypatch.setattr(server_access, "_refuse_late_change", lambda _: None)
    server_access.activate() if at is None else server_access.activate_server(at)
    assert Path.cwd() == somewhere / "data" / "empty"


def test_python_is_started_in_one_way_alone() -> None:
    """Without -P, `python -m` imports from the working directory."""
    files = [path for name in ("blocks", "tasks", "flows", "deployments") for path in (ROOT / name).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in files if _names_the_interpreter(path)}
    assert found == STARTS_PYTHON


def _names_the_interpreter(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(node, ast.Attribute) and node.attr == "executable" for node in nodes)
