"""The project speaks in the words of its field: a word of the left is not written, one of the right is.

CONTRIBUTING.md has the rules for names and sentences.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from support.paths import ROOT

FOLDERS = ("blocks", "tasks", "flows", "deployments", "docs", "tests", ".ci")
NOT_READ = {"migrations", "fixtures", "cassettes", Path(__file__).name}
"""Folders and files with texts of earlier versions and of 1Password's server, and the list of words itself."""
PAGES = ("README.md",)
SUFFIXES = {".py", ".md", ".yaml", ".sql", ".html", ".css", ".js"}
INJECTED = re.compile(
    r"sandbox|--fault|on demand|KIND|each fault|inject|\.fault\(|clear_faults|^tests/torture/", re.IGNORECASE
)
"""A fault is what the sandbox and the torture inject: fault injection calls it so."""
WORDS = {
    r"told|(?<!\.)tells?": "reported, reports, report; notify; publish",
    r"asked": "requested, checked",
    r"anew|once more": "again, or a verb with re-: restart, re-read",
    r"(said|says?) yes|last yes": "acknowledged",
    r"portions?": "batch",
    r"turned away|refused for good": "rejected",
    r"kept back|keeps? back": "filtered",
    r"lets? go|(gives?|given|gave) back": "release",
    r"puts? off": "deferred",
    r"page in hand": "current page",
    r"nobody|whoever|somebody": "the subject itself, or the passive",
    r"faults?": "problem, error",
}
CLASSES = r"class (Brought|Known|Meant|Told|Taken|Kept|Wish|Shown|Turned|Pump|Asked|Found|Given|Wanted)\b"
FUNCTIONS = r"^(?:async )?def (run|add|of|put|look|one|found|known|there|told|asked|kept|taken)\("


@cache
def texts() -> dict[Path, str]:
    """The texts by their paths in the repository."""
    paths = [ROOT / page for page in PAGES]
    for folder in FOLDERS:
        paths += [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    return {path.relative_to(ROOT): path.read_text() for path in paths if NOT_READ.isdisjoint(path.parts)}


def places(pattern: str, *, flags: int = re.IGNORECASE) -> list[str]:
    found = re.compile(pattern, flags | re.MULTILINE)
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts().items()
        if found.search(text)  # few have it: the lines of the others need no look
        for number, line in enumerate(text.splitlines(), 1)
        if found.search(line) and not ("fault" in pattern and INJECTED.search(f"{path} {line}"))
    ]


@pytest.mark.parametrize("word", WORDS)
def test_the_word_of_the_field_stands_here(word: str) -> None:
    # An underscore parts words too: names are read like sentences.
    found = places(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])")
    assert not found, f"write {WORDS[word]}:\n" + "\n".join(found)


def test_a_class_is_a_noun() -> None:
    assert not places(CLASSES, flags=0)


def test_a_public_function_is_named_for_what_it_does() -> None:
    assert not places(FUNCTIONS, flags=0)
