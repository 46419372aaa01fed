"""What the program prints names no file that only a checkout has: a wheel has no docs/, Makefile or .venv."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOORS = ("blocks", "tasks", "flows", "deployments")
TARGETS = "|".join(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OF_A_CHECKOUT = re.compile(
    rf"(?<![\w/.:-])(?:docs|tests)/\w|\b(?:README|CHANGELOG|CONTRIBUTING|Makefile)\b|\.venv/|`make (?:{TARGETS})\b"
)


def test_the_pattern_finds_them() -> None:
    for text in ("see docs/reference/json.md", "See README.", "run `make demo`", ".venv/bin/onepassword-source up"):
        assert OF_A_CHECKOUT.search(text), text
    assert not OF_A_CHECKOUT.search("https://developer.1password.com/docs/events-api/")


@pytest.mark.parametrize("floor", FLOORS)
def test_no_text_of_the_program_names_a_file_of_a_checkout(floor: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / floor).rglob("*"))
        for line, text in _texts(path)
        if OF_A_CHECKOUT.search(text)
    ]
    assert found == []


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix == ".py":
        yield from _strings(path)
    elif path.suffix in {".html", ".js", ".css"}:
        yield from enumerate(path.read_text().splitlines(), 1)


def _strings(path: Path) -> Iterator[tuple[int, str]]:
    """All strings except docstrings, which no one sees who runs the program."""
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value
