"""The examples in the documentation: fenced blocks, indented commands, and commands within sentences."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "onepassword-source"
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
SHELLS = frozenset({"sh", "bash", "shell", "console"})
INDENTED = "indented"
SHELL = "the shell's own, or of every system"
OTHERS = {
    **dict.fromkeys((".", "cat", "cd", "chmod", "do", "done", "export", "install", "kill", "mkdir", "mv"), SHELL),
    **dict.fromkeys(("grep", "printf", "rm", "sleep", "sudo", "tail", "tr", "wc", "while"), SHELL),
    **dict.fromkeys(("journalctl", "loginctl", "systemctl", "systemd-sysusers"), "systemd's; it needs a whole system"),
    **dict.fromkeys(("pip", "pipx", "uv"), "installers; `make test-install` runs each way"),
    **dict.fromkeys(("docker", "helm", "kubectl"), "tests/install runs or renders them; what they execute is checked"),
    "./make-secrets.sh": "tests/install runs it",
    "git": "a clone, or what a release does",
    "az": "Microsoft's; it needs a subscription",
    "curl": "the addresses of the sandbox are tested in tests/deployments/sandbox",
    "eval": "the command within it is checked",
    "make": "its targets are checked",
    "op": "1Password's; it needs an account",
    "openssl": "the hash is compared in tests/blocks/siem/privacy",
    "prefect": "Prefect's own; tests/deployments/one_machine/test_worker.py runs such workers",
    "python": "a benchmark, or a key",
    "python3": "an environment; or a walk runs it",
}
"""Other programs in the examples, and why they are not checked."""
_FENCE = re.compile(r"^( *)```([\w-]*)[^`]*$")
_LINE = re.compile(r"^(?: {4}|\t)(\S.*)$")
_HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")
_INLINE = re.compile(r"`([^`\n]+)`")
_OPERATORS = frozenset({"|", "||", "&", "&&", ";"})


@dataclass(frozen=True, slots=True)
class Example:
    """A code block of a page: its language (`indented` for a line of an indented block) and its text without indent."""

    page: str
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def examples() -> list[Example]:
    return [example for path in PAGES for example in examples_of(path)]


def examples_of(path: Path) -> Iterator[Example]:
    page, lines = path.relative_to(ROOT).as_posix(), list(enumerate(path.read_text().splitlines(), 1))
    while lines:
        number, line = lines.pop(0)
        text = []
        if fence := _FENCE.match(line):
            while lines and (inner := lines.pop(0)[1]).strip() != "```":
                text.append(inner[len(fence[1]) :])
            yield Example(page, number, fence[2], "\n".join(text) + "\n")
        elif (found := _LINE.match(line)) and is_command(found[1]):
            text.append(found[1])
            while lines and text[-1].endswith("\\"):
                text.append(lines.pop(0)[1].strip())
            yield Example(page, number, INDENTED, "\n".join(text))


def is_command(line: str) -> bool:
    """True if a line of an indented block is a command to type."""
    first = re.sub(r"^(\$ )?([A-Z_]+=\S* )*", "", line).split()[0]
    return first in OTHERS or first.rpartition("/")[2] in {PROGRAM, *OTHERS}


def indented_prose() -> set[str]:
    """The pages with indented lines that are no commands: drawings, output, and text of list entries."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PAGES
        for _, _, line in outside_of_fences(path)
        if (found := _LINE.match(line)) and not is_command(found[1])
    }


def outside_of_fences(path: Path) -> Iterator[tuple[int, str, str]]:
    """The lines outside of fenced blocks, each with its number and the line before it."""
    fenced, before = False, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = line.strip().startswith("```")
        if not fenced:
            yield number, before, line
        fenced ^= fence
        before = line


def shell_lines() -> list[Example]:
    """Each line to type into a shell, without the text of here-documents."""
    return [
        Example(example.page, example.line + number, example.language, text)
        for example in examples()
        if example.language in {*SHELLS, INDENTED}
        for number, text in without_heredocs(example.text)
        if text.strip()
    ]


def without_heredocs(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a script with their numbers, without here-documents; lines that end in a backslash are joined."""
    end, joined = "", ""
    for number, line in enumerate(text.splitlines()):
        if end:
            end = "" if line.strip() == end else end
            continue
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        begun = _HEREDOC.search(line)
        end = begun[1] if begun else ""
        yield number, joined + line
        joined = ""


def commands(line: str) -> list[list[str]]:
    """The words of each command in a shell line, commands in `$(…)` included, without assignments and redirections."""
    line = line.removeprefix("$ ")
    found = [command for inner in re.findall(r"\$\(([^()]+)\)", line) for command in commands(inner)]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    word: list[str] = []
    redirected = False
    for token in lexer:
        if token in _OPERATORS:
            found.append(word)
            word = []
        elif redirected or set(token) <= set("<>&"):
            redirected = not redirected
        elif word or not re.match(r"[A-Za-z_]+=", token):
            word.append(token)
    return [words for words in [*found, word] if words]


def inline_commands() -> list[Example]:
    """Commands within sentences and tables, in backticks."""
    found = []
    for path in PAGES:
        fenced = False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            fenced ^= line.strip().startswith("```")
            if not fenced:
                page = path.relative_to(ROOT).as_posix()
                found += [Example(page, number, "inline", text) for text in _INLINE.findall(line)]
    return found
