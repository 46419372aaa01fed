"""What is built for a release: complete, the same bytes each time, and with nothing that only a build needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import installed_wheel
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes

FLOORS = ("flows", "tasks", "blocks", "deployments")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILD_TOOLS = {"hatchling", "editables", "build", "setuptools", "wheel", "pip", "uv"}
IMPORT_FLOWS = """
import importlib, json, pathlib, flows
from prefect import Flow
from deployments.prefect_api import templates
found = {}
for name, template in templates._templates().items():
    module, _, function = template["entrypoint"].rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), function), Flow), template["entrypoint"]
    found[name] = template["entrypoint"]
print(json.dumps([str(pathlib.Path(flows.__file__).parents[1]), found]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_wheel.install(tmp_path_factory.mktemp("installed"))


def source_files(root: Path, *folders: str) -> set[str]:
    """What a commit of the tree would hold."""
    return {
        str(path.relative_to(root))
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_every_file_of_the_four_floors_and_no_other(tmp_path: Path) -> None:
    names = set(zipfile.ZipFile(installed_wheel.build(tmp_path)).namelist())
    assert {name for name in names if ".dist-info/" not in name} == source_files(ROOT, *FLOORS)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_no_build_tool_is_a_runtime_dependency() -> None:
    names = {re.split(r"[^a-z0-9-]", one.lower())[0] for one in PROJECT["dependencies"]}
    assert not names & BUILD_TOOLS
    locked = {line.split("==")[0].split("[")[0] for line in _lines("requirements.lock")}
    assert not locked & BUILD_TOOLS
    assert {"hatchling", "editables"} <= {line.split("==")[0] for line in _lines("requirements-build.lock")}


def test_each_upper_bound_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    bounded = [place for place, line in enumerate(lines) if re.search(r'^\s+"[a-z].*,?<|^requires-python.*<', line)]
    assert bounded
    assert [lines[place] for place in bounded if not _has_reason(lines[place], lines[place - 1])] == []


def _has_reason(line: str, before: str) -> bool:
    return "  # " in line or before.lstrip().startswith("# ")


@pytest.mark.parametrize("form", ["editable", "wheel"])
def test_the_entry_points_of_deployments_are_flows(form: str, environment: Path, tmp_path: Path) -> None:
    python = environment / "python" if form == "wheel" else Path(sys.executable)
    done = subprocess.run(
        [python, "-P", "-c", IMPORT_FLOWS],
        cwd=tmp_path, env={**os.environ, "PREFECT_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root, found = json.loads(done.stdout)
    assert Path(root).is_relative_to(environment.parent if form == "wheel" else ROOT)
    assert found == {name: f"flows.{name}.{name}" for name in ("collect", "reconcile", "backfill", "forward", "prune")}


def test_the_version_is_in_one_place_only(environment: Path) -> None:
    assert version("onepassword-source") == PROJECT["version"]
    printed = subprocess.check_output([environment / "onepassword-source", "--version"], text=True)
    assert printed == f"onepassword-source {PROJECT['version']}\n"
    texts = {path: path.read_text() for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    assert [path for path, text in texts.items() if f'"{PROJECT["version"]}"' in text] == []


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_the_same_commit_gives_the_same_bytes(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: None
) -> None:
    """In two directories, with other times and modes of files."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    built = []
    for name, mask in (("one", 0o022), ("another-folder", 0o077)):
        os.umask(mask)
        tree = tmp_path / name / "tree"
        _copy(tree)
        built.append(installed_wheel.build(tmp_path / name, target, tree).read_bytes())
    assert built[0] == built[1]


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _copy(tree: Path) -> None:
    tree.mkdir(parents=True)
    for name in (*FLOORS, *_top_level_files()):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"), copy_function=_copy_new)
        else:
            _copy_new(source, tree / name)


def _copy_new(source: str | Path, target: str | Path) -> None:
    """With the time of now, and the mode that the umask gives."""
    Path(target).write_bytes(Path(source).read_bytes())


def _top_level_files() -> list[str]:
    return ["pyproject.toml", "README.md", "LICENSE"]


def test_the_sdist_has_what_the_tests_need(tmp_path: Path) -> None:
    with tarfile.open(installed_wheel.build(tmp_path, "sdist")) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = source_files(ROOT, *FLOORS, "tests", "docs")
    assert wanted - inside == set()
    top = {name.partition("/")[0] for name in inside} - set(FLOORS)
    assert {
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-build.lock",
    } <= top
    assert top & {".git", ".venv", ".demo", "dist", ".mypy_cache", ".ruff_cache"} == set()


def _lines(lock: str) -> list[str]:
    return [line for line in (ROOT / lock).read_text().splitlines() if not line.startswith(" ")]
