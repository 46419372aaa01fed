"""A command in a sentence can be pasted into a shell, whatever the name is; and no sentence makes one by itself."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from support.paths import ROOT

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError, join_sentences
from blocks.health import Condition, HealthEvent
from blocks.siem.configuration import parse_siems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("1Pass", "1Pass EU", "it's", "$(reboot)", "a;b", 'say "hi"', "*", "~", "ünïcode", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_the_name_as_it_is(name: str) -> None:
    made = command_line("siem replay", name, options=("--from", name))
    assert shlex.split(made) == ["onepassword-source", "siem", "replay", name, "--from", name]


def test_a_name_that_begins_with_a_dash_is_no_option() -> None:
    assert command_line("delete", "-x", options=("--purge",)) == "onepassword-source delete --purge -- -x"


def test_no_sentence_puts_a_name_into_a_command_by_itself() -> None:
    """An f-string in which a value follows the program's name would not be quoted."""
    found = []
    for package in ("blocks", "tasks", "flows", "deployments"):
        for path in (ROOT / package).rglob("*.py"):
            found += [f"{path.name}:{node.lineno}" for node in ast.walk(ast.parse(path.read_text())) if _splices(node)]
    assert found == []


def _splices(node: ast.AST) -> bool:
    if not isinstance(node, ast.JoinedStr):
        return False
    is_command = False
    for part in node.values:
        if isinstance(part, ast.Constant):
            text = str(part.value)
            is_command = "onepassword-source " in text and not text.rpartition("onepassword-source ")[2].strip(
                "abcdefghijklmnopqrstuvwxyz -"
            )
        elif is_command:
            return True
    return False


def test_a_hint_that_asks_for_what_a_command_does_names_the_command() -> None:
    """A reader need not look it up in the help. A hint with options alone refers to the command that was called."""
    found = [
        f"{where}: {hint}"
        for package in ("blocks", "tasks", "flows", "deployments")
        for path in (ROOT / package).rglob("*.py")
        for where, hint in hints(path)
        if DOES.search(hint) and "onepassword-source " not in hint and "--" not in hint
    ]
    assert found == []


DOES = re.compile(
    r"\b(?:apply|applied|restart|resume|replay|rename|delete|store (?:it|them)"
    r"|new token|make a token|a token of)\b",
    re.IGNORECASE,
)


def hints(path: Path) -> Iterator[tuple[str, str]]:
    """The texts that errors and conditions give as hints, with those of the module's constants that they name."""
    tree = ast.parse(path.read_text())
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        values = [one.value for one in node.keywords if one.arg == "hint"] if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Assign) and any("hint" in ast.unparse(target) for target in node.targets):
            values = [node.value]
        for value in values:
            names = [one.id for one in ast.walk(value) if isinstance(one, ast.Name)]
            yield f"{path.name}:{value.lineno}", " ".join(map(_text, [value, *(named[n] for n in names if n in named)]))


def _text(node: ast.AST) -> str:
    parts = [
        "onepassword-source " if isinstance(one, ast.Call) else str(getattr(one, "value", ""))
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) or (isinstance(one, ast.Call) and ast.unparse(one.func) == "command_line")
    ]
    return " ".join(parts)


def test_hints_are_found(tmp_path: Path) -> None:
    """Else the test before is one of nothing."""
    (tmp_path / "one.py").write_text(
        "HINT = 'Restart it.'\nError('x', hint=HINT)\nError('y', hint=f'Then {x}.')\n"
        "hint = f'Then {command_line(\"restart\", x)}.'\n"
    )
    assert sorted(hints(tmp_path / "one.py")) == [
        ("one.py:2", " Restart it."),
        ("one.py:3", "Then  ."),
        ("one.py:4", "Then  . onepassword-source  restart"),
    ]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("soc refuses events; it says: no index", "soc refuses events; it says: no index. They are kept."),
        ("It says: no index.", "It says: no index. They are kept."),
        ("It says: why?", "It says: why? They are kept."),
        ("", "They are kept."),
    ],
)
def test_a_hint_begins_after_a_sentence(message: str, said: str) -> None:
    assert join_sentences(message, "They are kept.") == said
    assert str(ThirdPartyConfigError(message, hint="They are kept.")) == said
    condition = Condition("refused", "EventsRejected", "Warning", message, hint="They are kept.")
    assert HealthEvent.from_condition(condition, "1", "1Pass").sentence == said


def test_a_message_without_a_hint_stays_as_it_is() -> None:
    assert join_sentences("It says: no index", None) == "It says: no index"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("splnuk", '"splunk"'), ("xyz", "one of sumo-logic, "), (7, "one of sumo-logic, "), (None, "one of sumo-logic, ")],
)
def test_a_wrong_type_of_siem_says_what_is_expected(kind: object, expected: str) -> None:
    document = {"siem": {"name": "soc", "type": kind, "sources": ["1Pass"], "config": {}}}
    with pytest.raises(ThirdPartyConfigError) as error:
        parse_siems(document)
    assert f"; expected {expected}" in str(error.value)
    assert "Did you mean" not in str(error.value)
