"""Regular expressions from a configuration, matched by RE2.

RE2 never backtracks. Its time is at most the length of the text times the size of the pattern. This module bounds both,
and the memory of a pattern. In return, RE2 has no look-around and no back-references.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

from blocks.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEXT_MAX = 10_000
"""Characters of a text that a condition reads."""
PATTERN_MAX = 5000
"""Characters of a pattern."""
SIZE_MAX = 5000
"""Instructions of a compiled pattern. As measured, each costs up to 3 ns for each byte of the text."""
TOTAL_MAX = 20_000
"""Instructions of all patterns of one list of rules."""
COUNT_MAX = 100
"""Patterns in one list of rules: the limit of Sumo Logic's sources, and a bound for their memory."""
_MEMORY = 512 * 1024  # bytes of a pattern and of its cache while it matches
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
        """Compile a pattern. Raises ValueError with its problem, as a sentence without a full stop."""
        self._compiled = _compiled(pattern)
        self.groups: int = self._compiled.groups
        """The number of capture groups."""
        self.size: int = self._compiled.programsize
        """The number of instructions: a match takes at most so many steps for each byte of the text."""

    def matches_whole(self, text: bytes) -> bool:
        return self._compiled.fullmatch(text) is not None

    def spans(self, text: bytes, start: int) -> tuple[tuple[int, int], ...] | None:
        """Return the spans of the first match from `start` on: the whole, then each group; (-1, -1) if it has none."""
        found = self._compiled.search(text, start)
        return None if found is None else tuple(found.span(group) for group in range(self.groups + 1))


def utf8(text: str) -> bytes:
    """Return a text in UTF-8, for a pattern. A lone surrogate, which UTF-8 cannot encode, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def problems(pattern: str, path: str) -> Iterator[Problem]:
    """Yield the problem of a pattern: RE2 rejects it, it is too large, or RE2 reads it differently than Python."""
    try:
        Pattern(pattern)
    except ValueError as error:
        yield Problem(path, str(error), _expected(pattern))
        return
    if _OPEN_COUNT.search(pattern):
        yield Problem(path, "RE2 reads {,n} as text", "{0,n}")


def pattern_set_problems(patterns: Iterable[str], path: str) -> Iterator[Problem]:
    """Yield the problem of all patterns of a list of rules together. Invalid patterns do not count."""
    sizes = [found.size for pattern in patterns if (found := _valid(pattern))]
    if len(sizes) > COUNT_MAX:
        yield Problem(path, f"it has {len(sizes)} patterns", f"{COUNT_MAX} at most")
    elif sum(sizes) > TOTAL_MAX:
        yield Problem(path, "all its patterns together are too large", "fewer patterns, or smaller counts like {1,50}")


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
    options.log_errors = False  # otherwise it writes to stderr, and quotes the pattern
    try:
        found = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        raise ValueError("it holds a lone surrogate (half a character)") from None
    except re2.error as error:
        raise ValueError(_problem(pattern, error)) from None
    if found.programsize > SIZE_MAX:
        raise ValueError("it is too large when compiled")
    return found


def _problem(pattern: str, error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    if text.startswith("pattern too large"):
        return "it is too large when compiled"
    if text.startswith("invalid perl operator") and (name := _missing(pattern)):
        return f"it has {name}, which RE2 does not support"
    if text.startswith("invalid escape sequence") and _BACK_REFERENCE.search(pattern):
        return "it has back-references, which RE2 does not support"
    return f"it is not a regular expression: {text}"


def _missing(pattern: str) -> str | None:
    return next((name for start, name in _MISSING.items() if start in pattern), None)


def _expected(pattern: str) -> str:
    return r"\z for the end of the text" if r"\Z" in pattern else _SYNTAX
