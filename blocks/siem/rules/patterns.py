"""Regular expressions that a person writes, kept from ones that take for ever on an event that somebody else wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_MAX = 256
"""Characters of a text that are matched; what follows them is not looked at."""
REPEATS_MAX = 3
"""Parts of a pattern that may repeat: each multiplies the time by the length of the text."""
_PATTERN_MAX = 1000
_SMALL = 16  # so often may a part repeat without being counted
_TOKEN = re.compile(
    r"""\\. | \[\^?\]?(?:\\.|[^\]\\])*+\]  # an escape, a set of characters
    | \(\?(?:[aiLmsux]+|P=\w+|\#[^)]*)\)  # flags, a group again, a comment
    | \((?:\?(?:P<\w+>|<?[=!]|[aiLmsux-]*:|>|\(\w+\)))? | \) | \|
    | (?:[*+?]|\{(?:\d+,?\d*|,\d+)\})[?+]?""",
    re.DOTALL | re.VERBOSE,
)


def faults(pattern: str, path: str) -> Iterator[Fault]:
    """What is wrong in a regular expression: that it is none, or that its time could grow without bound."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield Fault(path, f"it is no regular expression: {error}", "the syntax of Python's re")
        return
    if len(pattern) > _PATTERN_MAX:
        yield Fault(path, f"it has more than {_PATTERN_MAX} characters", "a shorter one")
    if _repeats_within_repeats(pattern):
        yield Fault(path, "a part that repeats holds one that repeats, or a choice", "one that repeats by itself")
    elif _repeats(pattern) > REPEATS_MAX:
        yield Fault(path, f"more than {REPEATS_MAX} of its parts repeat", "fewer of *, + and {n,}")


def _repeats(pattern: str) -> int:
    return sum(_is_repeat(token.group()) for token in _TOKEN.finditer(pattern))


def _is_repeat(kind: str) -> bool:
    if kind[0] == "{":
        most = re.findall(r"\d+|(?<=,)(?=\})", kind)[-1]
        return not most or int(most) > _SMALL
    return kind[0] in "*+"


def _repeats_within_repeats(pattern: str) -> bool:
    """Whether a group that repeats holds what could match the same text in several ways."""
    groups, ambiguous = [False], False
    for token in _TOKEN.finditer(pattern):
        kind = token.group()
        if kind[0] in "*+{" and ambiguous and pattern[token.start() - 1] == ")":
            return True
        if kind[0] == "(" and kind[-1] != ")":
            groups.append(False)
        elif kind == ")":
            ambiguous = groups.pop()
            groups[-1] = groups[-1] or ambiguous
        elif kind[0] in "*+?{|":
            groups[-1] = True
    return False
