"""Tests, and the code that they run as text, import and use only names that exist.

A rename in the product does not reach a string, and tests that rarely run hide a stale name for long.
"""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from typing import TYPE_CHECKING

import pytest
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FLOORS = ("blocks", "tasks", "flows", "deployments")
OURS = (*FLOORS, "support", "torture", "benchmarks", "install")
ROOTS = (ROOT, ROOT / "tests")
"""Where the modules of processes that tests start come from."""
IMPORT = re.compile(rf"\b(?:from|import)\b[^\n;]*\b(?:{'|'.join(OURS)})\b")
DOTTED = re.compile(rf"(?:{'|'.join(FLOORS)})(?:\.[A-Za-z_]\w*)+")
TESTS = ROOT / "tests"
FILES = [path for path in sorted(TESTS.rglob("*.py")) if path.name != "test_code_in_strings.py"]


@cache
def module_file(dotted: str) -> Path | None:
    for root in ROOTS:
        path = root.joinpath(*dotted.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def names_of(file: Path) -> frozenset[str] | None:
    """The names that a module has; None if it makes them up as they are used."""
    names = set(_bound(ast.parse(file.read_text()).body))
    return None if "__getattr__" in names else frozenset(names)


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in names)
            case ast.If() | ast.Try() | ast.With():
                for inner in (statement.body, getattr(statement, "orelse", []), getattr(statement, "finalbody", [])):
                    yield from _bound(inner)
            case _:
                stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                yield from (node.id for node in stored if isinstance(node.ctx, ast.Store))


def is_stale(dotted: str) -> bool:
    """True for a name of ours that no module has. Members of classes and of values are not looked at."""
    parts = dotted.split(".")
    if parts[0] not in OURS or any(part in ("_", "*") or part.startswith("__") for part in parts):
        return False
    for length in range(len(parts), 0, -1):
        file = module_file(".".join(parts[:length]))
        if file is not None:
            names = names_of(file)
            return length < len(parts) and names is not None and parts[length] not in names
    return not any(root.joinpath(*parts).is_dir() for root in ROOTS)


def texts(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Each string of a file, and the line it is in; what an f-string puts in is a name, `_`."""
    parts = {id(value) for node in nodes if isinstance(node, ast.JoinedStr) for value in ast.walk(node)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(_text(value) for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def _text(value: ast.expr) -> str:
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else "_"


def nodes_of(code: str) -> list[ast.AST]:
    """The syntax tree of a program. It is walked once: that takes longer than all that is looked for in it."""
    return list(ast.walk(ast.parse(textwrap.dedent(code))))


def used_names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """The dotted names that a program imports, and those that it uses of imported modules."""
    imported = list(_imported(nodes))
    yield from (dotted for _, dotted in imported)
    modules = dict(imported)
    ambiguous = {name for name, dotted in imported if modules[name] != dotted} | set(_variables(nodes))
    for node in nodes:
        if isinstance(node, ast.Attribute) and (name := _dotted(node.value)) in modules and name not in ambiguous:
            yield f"{modules[name]}.{node.attr}"


def _imported(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _variables(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_in(text: str) -> list[str]:
    """The dotted names in a program, or in a text that is one, such as the target of a patch."""
    if not IMPORT.search(text):
        return [text] if DOTTED.fullmatch(text) else []
    try:
        return list(used_names(nodes_of(text)))
    except SyntaxError:
        imports = re.finditer(r"from ([\w.]+) import (\w+(?:, *\w+)*)", text)
        return [f"{found[1]}.{name.strip()}" for found in imports for name in found[2].split(",")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_a_file_and_its_strings_name_what_exists(file: Path) -> None:
    nodes = nodes_of(file.read_text())
    own = [f"its own code: {name}" for name in used_names(nodes) if is_stale(name)]
    stale = [f"line {line}: {name}" for line, text in texts(nodes) for name in names_in(text) if is_stale(name)]
    assert not [*own, *stale], f"{file.relative_to(ROOT)} names what does not exist:\n" + "\n".join([*own, *stale])


@pytest.mark.parametrize(
    "code",
    [
        "import sys, blocks.gone",
        "from blocks import gone",
        "from blocks.clock import gone",
        "import blocks.clock as c; c.gone()",
        "from blocks import clock\nclock.gone()",
        "with {open} from blocks.clock import gone",
        "blocks.clock.gone",
    ],
)
def test_a_name_that_is_gone_is_found(code: str) -> None:
    assert any(map(is_stale, names_in(code)))


@pytest.mark.parametrize("code", ["import blocks.clock; blocks.clock.now_ns()", "from blocks import clock", "a.text"])
def test_a_name_that_exists_is_not(code: str) -> None:
    assert not any(map(is_stale, names_in(code)))
