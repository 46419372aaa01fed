"""The targets that CI runs miss no test, whatever marks it has, and `make test` runs nothing that needs PostgreSQL."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from itertools import product

import pytest
from support.paths import ROOT

_PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
MARKS = [mark.partition(":")[0] for mark in _PYTEST["markers"]]
OF_THEIR_OWN = {"install", "torture"}
"""What takes an hour, and CI does not run."""
TARGETS = re.findall(r"^make (test\S*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@cache
def selection_of(target: str) -> str:
    """The marker expression by which a target selects its tests; it has the form of Python's own."""
    recipe = subprocess.check_output(["make", "--dry-run", "--silent", target], cwd=ROOT, text=True)
    found = re.search(r'pytest [^\n]*-m (?:"([^"]+)"|(\w+))$', recipe, re.MULTILINE)
    assert found, recipe
    return found[1] or found[2]


def is_run(target: str, marks: dict[str, bool]) -> bool:
    return bool(eval(selection_of(target), {"__builtins__": {}}, marks))  # noqa: S307 - of our own Makefile


def test_ci_runs_a_test_whatever_marks_it_has() -> None:
    for has in product((False, True), repeat=len(MARKS)):
        marks = dict(zip(MARKS, has, strict=True))
        if not any(marks[mark] for mark in OF_THEIR_OWN):
            assert any(is_run(target, marks) for target in TARGETS), [mark for mark in MARKS if marks[mark]]


@pytest.mark.parametrize(
    ("mark", "target"),
    [
        (None, "test"),
        ("postgresql", "test-postgresql"),
        ("browser", "test-browser"),
        ("prefect", "test-prefect"),
        ("processes", "test-prefect"),
        ("real", "test-real"),
    ],
)
def test_a_mark_is_run_by_one_target(mark: str | None, target: str) -> None:
    marks = dict.fromkeys(MARKS, False) | ({mark: True} if mark else {})
    assert [one for one in TARGETS if is_run(one, marks)] == [target]


def test_a_store_on_postgresql_has_the_mark(store_url: str, request: pytest.FixtureRequest) -> None:
    is_marked = request.node.get_closest_marker("postgresql") is not None
    assert is_marked == store_url.startswith("postgresql")


@pytest.mark.usefixtures("postgresql")
def test_that_server_has_the_mark(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("postgresql")
