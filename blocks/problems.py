"""The problems of a configuration: each with its place, a description, and what was expected."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

QUOTE_MAX = 40  # characters of a wrong value; so few that a token pasted into the wrong place is not given away
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its JSON path (or a file, or an environment variable), the problem, what was expected."""

    path: str
    description: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: {self.description}; expected {self.expected}."


class ConfigurationError(ThirdPartyConfigError):
    """A configuration with one or more problems; nothing of it is stored."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__(_text_of(self.problems), code="configuration")


def _text_of(problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1:
        return str(problems[0])
    return "\n".join([f"The configuration has {len(problems)} problems:", *(f"  {problem}" for problem in problems)])


def json_path(path: str, key: str | int) -> str:
    """The JSON path of a member or an element of what stands at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{quote(key)}]"


def quote(text: str, maximum: int = QUOTE_MAX) -> str:
    """A text in quotes, cut short, with everything escaped that a terminal would not just print."""
    cut = text if len(text) <= maximum else text[: maximum - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def describe_type(value: object) -> str:
    """What a JSON value is, in words."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (str, "a text"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def closest_match(text: str, candidates: Iterable[str]) -> str | None:
    """The known word that `text` most likely means, whatever its case and its dashes."""
    words = {_bare(word): word for word in candidates}
    found = difflib.get_close_matches(_bare(text[:QUOTE_MAX]), words, n=1, cutoff=0.6)
    return words[found[0]] if found else None


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def check_keys(
    members: Mapping[str, object],
    path: str,
    allowed: tuple[str, ...],
    problems: list[Problem],
    passed_over: tuple[str, ...] = (),
) -> None:
    """Append a problem to `problems` for each key of `members` that is neither `allowed` nor `passed_over`."""
    for key in members:
        if key in allowed or key in passed_over:
            continue
        near = closest_match(key, allowed)
        expected = f"{quote(near)}" if near else f"one of {', '.join(allowed)}"
        problems.append(Problem(json_path(path, key), "the key is not known", expected))
