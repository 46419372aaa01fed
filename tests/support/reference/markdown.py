"""Pieces of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, one row on each line."""
    return "\n".join([_line(titles), "|" + "---|" * len(titles), *map(_line, rows)])


def _line(texts: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell(text)} " if text else " " for text in texts) + "|"


def cell(text: str) -> str:
    """A text that cannot end its cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """A text as code; nothing for no text."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """A phrase as a sentence: with a capital letter and a full stop. Code keeps its case."""
    if not text:
        return ""
    first = text[0].upper() + text[1:]
    return first if first.endswith((".", "!", "?", "…")) else f"{first}."
