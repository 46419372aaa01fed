"""Each module with logic has a test of its name: `blocks/store/claims.py` in `tests/blocks/store/test_claims.py`."""

from __future__ import annotations

import ast

import pytest
from support.paths import ROOT, TESTS

FLOORS = ("blocks", "tasks", "flows", "deployments")
BRANCHES_MAX = 5
"""A module with more branches needs a test file of its name."""

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


def branches(source: str) -> int:
    """How many branches a module has; each further operand of `and` and `or` is one."""
    nodes = list(ast.walk(ast.parse(source)))
    operands = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    conditions = sum(len(node.ifs) for node in nodes if isinstance(node, ast.comprehension))
    return sum(isinstance(node, _BRANCHES) for node in nodes) + operands + conditions


def without_a_test() -> set[str]:
    """The modules with more than BRANCHES_MAX branches and without a test of their name."""
    found = set()
    for path in (path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")):
        module = path.relative_to(ROOT)
        mirrored = TESTS / module.parent / f"test_{path.stem.strip('_')}.py"  # `__main__.py` in `test_main.py`
        if "versions" not in module.parts and not mirrored.exists() and branches(path.read_text()) > BRANCHES_MAX:
            found.add(str(module))
    return found


def test_each_module_with_logic_has_a_test_of_its_name() -> None:
    missing = sorted(without_a_test())
    assert not missing, f"write tests/<the same path>/test_<the same name>.py for: {missing}"


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("x = 1", 0),
        ("if x: pass\nelif y: pass\nelse: pass", 2),
        ("while x: pass\nfor y in x: pass", 2),
        ("try: pass\nexcept A: pass\nexcept B: pass", 2),
        ("match x:\n case 1: pass\n case _: pass", 2),
        ("x = a and b and c or d", 3),
        ("x = [y for y in z if y if w]", 2),
        ("x = a if b else c", 1),
    ],
)
def test_branches_are_counted(source: str, number: int) -> None:
    assert branches(source) == number
