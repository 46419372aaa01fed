"""A page reads the same on GitHub and on the site, whose readers of Markdown differ about lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.doc_examples import PAGES, outside_of_fences
from support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = re.compile(r"(- |\d+\. )")
BLOCK = re.compile(r" {1,3}(```|- |\d+\. )")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_list_is_one_for_both(path: Path) -> None:
    glued = [
        f"{number}: {line}"
        for number, before, line in outside_of_fences(path)
        if ENTRY.match(line) and before.strip() and not ENTRY.match(before) and not before.startswith(" ")
    ]
    assert glued == [], "a list needs a blank line before it"
    assert [f"{n}: {line}" for n, _, line in outside_of_fences(path) if BLOCK.match(line)] == [], (
        "indent by four spaces"
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_has_one_title_and_its_blocks_have_an_end(path: Path) -> None:
    lines = [line for _, _, line in outside_of_fences(path)]
    assert len([line for line in lines if line.startswith("# ")]) == 1
    assert path.read_text().count("```") % 2 == 0


def test_the_readme_is_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
