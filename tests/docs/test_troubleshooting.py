"""What a reader sees is what the program says: each message in italics stands in the code."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from support.paths import ROOT

from blocks import health_event_kinds

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| you see")]
MESSAGES = sorted({text for row in ROWS for text in re.findall(r"\*([^*]+)\*", row[0])})
CONDITIONS = sorted({name for row in ROWS for name in re.findall(r"`([A-Z][A-Za-z]+)`", row[0])})


@cache
def texts() -> str:
    """The string literals of the program. Parts of an f-string follow one another with a space for each value."""
    found = []
    for floor in ("blocks", "tasks", "flows", "deployments"):
        for path in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    found.append(
                        "".join(str(part.value) if isinstance(part, ast.Constant) else " " for part in node.values)
                    )
    return "\n".join(found)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_of_the_program(message: str) -> None:
    assert message in texts()


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_one_of_the_program(name: str) -> None:
    assert name in health_event_kinds.NAMES


def test_the_symptoms_are_found() -> None:
    assert len(MESSAGES) > 25
    assert len(CONDITIONS) > 8
