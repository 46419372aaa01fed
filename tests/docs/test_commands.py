"""Each command in the documentation is one that the program has: its name, its flags, the number of its arguments.

`test_walks.py` and `test_tasks.py` run those that can be run.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from support import doc_examples
from support.doc_examples import OTHERS, PROGRAM, Example
from support.paths import ROOT

from deployments.cli import app
from deployments.lazy_commands import LazyGroup
from deployments.sandbox.__main__ import parser

LINES = doc_examples.shell_lines()


def own_arguments(words: list[str]) -> list[str] | None:
    """The arguments of the program in a command, also of one that is executed in a container."""
    if words[0].rpartition("/")[2] == PROGRAM:
        return None if "[OPTIONS]" in words else words[1:]  # the usage of a command, made from the code
    if "exec" in words and PROGRAM in words:
        return words[len(words) - words[::-1].index(PROGRAM) :]
    return None


OWN = [
    (line, arguments)
    for line in LINES
    for words in doc_examples.commands(line.text)
    if (arguments := own_arguments(words)) is not None
]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


NO_COMMANDS = {
    "onepassword-source chain 1": "a text that is hashed",
    "siem refused": "a former name, which tests/deployments/test_lazy_commands.py covers",
    "verify --head": "a former flag, likewise",
}


def parse(arguments: list[str]) -> None:
    """Parse arguments as the program does. Raises a usage error of click for what it does not accept."""
    group: Any = app
    context = group.make_context(PROGRAM, list(arguments))
    while isinstance(group, LazyGroup):
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        if name == "sandbox":
            parser(PROGRAM).parse_args(rest)
            return
        context = command.make_context(name, rest, parent=context)
        group = command


def test_the_examples_are_found() -> None:
    assert len(OWN) > 100
    assert {line.page for line, _ in OWN} >= {"README.md", "docs/tutorial.md", "docs/how-to/backfill.md"}


@pytest.mark.parametrize(
    "wrong", [["collect"], ["collect", "a", "b"], ["collect", "a", "--deep"], ["siem", "send", "a"], ["sandbox", "--x"]]
)
def test_a_wrong_command_is_noticed(wrong: list[str]) -> None:
    with pytest.raises((Exception, SystemExit)):
        parse(wrong)


@pytest.mark.parametrize(("line", "arguments"), OWN, ids=[line.id for line, _ in OWN])
def test_a_command_is_one_that_the_program_has(line: Example, arguments: list[str]) -> None:
    try:
        parse(arguments)
    except Exception as error:  # noqa: BLE001 - the libraries have their own
        pytest.fail(f"{line.text}: {error}")


def test_a_command_of_another_program_is_known() -> None:
    programs = {
        words[0] if words[0] in OTHERS else words[0].rpartition("/")[2]: line.id
        for line in LINES
        for words in doc_examples.commands(line.text)
    }
    others = {name: place for name, place in programs.items() if not name.endswith(PROGRAM)}
    assert {name: place for name, place in others.items() if name not in OTHERS} == {}
    assert set(OTHERS) - set(others) == set(), "reasons for what stands nowhere"


PROSE = {
    "CONTRIBUTING.md": "a commit",
    "README.md": "the four floors",
    "docs/explanation/hash-chain.md": "a drawing",
    "docs/how-to/coverage.md": "output",
    "docs/siem/rules.md": "an entry of a list",
    "docs/siem/sentinel.md": "entries of a list",
    "docs/siem/sumo-logic.md": "entries of a list",
    "docs/siem/webhook.md": "entries of a list",
}


def test_an_indented_line_is_a_command_of_a_known_program_or_has_a_reason() -> None:
    assert doc_examples.indented_prose() - set(PROSE) == set(), "name the program in OTHERS, or the page here"
    assert set(PROSE) - doc_examples.indented_prose() == set()


def inline() -> list[tuple[Example, list[str]]]:
    found = []
    for example in doc_examples.inline_commands():
        words = [] if example.text in NO_COMMANDS else example.text.replace("…", "").split()
        if words[:1] == [PROGRAM]:
            found.append((example, words[1:]))
        elif len(words) > 1 and words[0] in app.commands and re.match(r"--|[a-z]", words[1]):
            found.append((example, words))
    return found


INLINE = inline()


@pytest.mark.parametrize(("example", "words"), INLINE, ids=[f"{one.id}:{one.text}" for one, _ in INLINE])
def test_a_command_in_a_sentence_has_a_name_and_flags_that_exist(example: Example, words: list[str]) -> None:
    group: Any = app
    while isinstance(group, LazyGroup) and words and words[0] in group.commands:
        group, words = group.load(words[0]), words[1:]
    flags = {flag for parameter in group.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    if group.name == "sandbox":
        flags = {flag for action in parser(PROGRAM)._actions for flag in action.option_strings}
    known = flags | {"--help", "--install-completion", "--show-completion"}
    assert [word for word in words if word.startswith("--") and word.partition("=")[0] not in known] == [], example.text
    assert not isinstance(group, LazyGroup) or not words or words[0].startswith("--"), f"no such command: {words[0]}"


def test_every_target_of_make_exists() -> None:
    named = {
        (target, example.id)
        for example in [*LINES, *doc_examples.inline_commands()]
        for target in re.findall(r"^make ([a-z][a-z-]*)", example.text)
    }
    assert named
    assert [one for one in named if one[0] not in TARGETS] == []
