"""Regular expressions that a person writes, matched by RE2.

RE2 never backtracks: its time is at most the length of the text times the size of the pattern, whatever the two hold.
Both are bounded here, and so is the memory of a pattern. In return RE2 has no look-around and no back-references.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

from blocks.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEXT_MAX = 10_000
"""Characters of a text that a condition looks at."""
PATTERN_MAX = 5000
"""Characters of a pattern."""
SIZE_MAX = 5000
"""Instructions of a compiled pattern: measured, each costs up to 3 ns for each byte of the text."""
TOTAL_MAX = 20_000
"""Instructions of all patterns of one list of rules."""
COUNT_MAX = 100
"""Patterns in one list of rules: as many as Sumo Logic's sources may have, and a bound for their memory."""
_MEMORY = 512 * 1024  # bytes of a pattern and of what RE2 remembers while it matches
_SYNTAX = "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)"
_MISSING = {
    r"(?=": "look-around",
    r"(?!": "look-around",
    r"(?<=": "look-around",
    r"(?<!": "look-around",
    r"(?P=": "back-references",
    r"(?>": "atomic groups",
    r"(?(": "conditional groups",
    r"(?#": "comments",
}
_BACK_REFERENCE = re.compile(r"\\[1-9]")
_OPEN_COUNT = re.compile(r"(?:^|[^\\])\{,\d+\}")


class Pattern:
    """A compiled pattern. Threads may share it. Spans are in bytes of the text in UTF-8."""

    __slots__ = ("_compiled", "groups", "size")

    def __init__(self, pattern: str) -> None:
        """Raises ValueError with what is wrong in the pattern, in a sentence without its end."""
        self._compiled = _compiled(pattern)
        self.groups: int = self._compiled.groups
        """Its capture groups."""
        self.size: int = self._compiled.programsize
        """Its instructions: a match takes at most so many steps for each byte of the text."""

    def matches_whole(self, text: bytes) -> bool:
        return self._compiled.fullmatch(text) is not None

    def spans(self, text: bytes, start: int) -> tuple[tuple[int, int], ...] | None:
        """The spans of the first match at `start` or behind it: the whole, then each group, (-1, -1) without a part."""
        found = self._compiled.search(text, start)
        return None if found is None else tuple(found.span(group) for group in range(self.groups + 1))


def utf8(text: str) -> bytes:
    """A text as patterns look at it. A lone surrogate, which UTF-8 does not have, is the character U+FFFD there."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def problems(pattern: str, path: str) -> Iterator[Problem]:
    """What is wrong in a pattern: RE2 does not take it, it is too large, or it means something else than in Python."""
    try:
        Pattern(pattern)
    except ValueError as error:
        yield Problem(path, str(error), _expected(pattern))
        return
    if _OPEN_COUNT.search(pattern):
        yield Problem(path, "RE2 takes {,n} for text", "{0,n}")


def pattern_set_problems(given: Iterable[str], path: str) -> Iterator[Problem]:
    """What is wrong in the patterns of one list of rules together; those that are wrong by themselves do not count."""
    sizes = [found.size for pattern in given if (found := _valid(pattern))]
    if len(sizes) > COUNT_MAX:
        yield Problem(path, f"it has {len(sizes)} patterns", f"{COUNT_MAX} at most")
    elif sum(sizes) > TOTAL_MAX:
        yield Problem(path, "its patterns together are too large", "fewer, or smaller counts such as {1,50} in them")


def _valid(pattern: str) -> Pattern | None:
    try:
        return Pattern(pattern)
    except ValueError:
        return None


def _compiled(pattern: str) -> re2._Regexp[bytes]:
    if len(pattern) > PATTERN_MAX:
        raise ValueError(f"it has more than {PATTERN_MAX} characters")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False  # it would write to stderr, and quote the pattern
    try:
        found = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    except re2.error as error:
        raise ValueError(_problem(pattern, error)) from None
    if found.programsize > SIZE_MAX:
        raise ValueError("it is too large once it is compiled")
    return found


def _problem(pattern: str, error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    if text.startswith("pattern too large"):
        return "it is too large once it is compiled"
    if text.startswith("invalid perl operator") and (name := _missing(pattern)):
        return f"it has {name}, which RE2 does not"
    if text.startswith("invalid escape sequence") and _BACK_REFERENCE.search(pattern):
        return "it has back-references, which RE2 does not"
    return f"it is no regular expression: {text}"


def _missing(pattern: str) -> str | None:
    return next((name for start, name in _MISSING.items() if start in pattern), None)


def _expected(pattern: str) -> str:
    return r"\z for the end of the text" if r"\Z" in pattern else _SYNTAX
