"""What is wrong in a configuration: each fault with its place and what would be right."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 40  # characters of a wrong value; so few that a token pasted into the wrong place is not given away
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its JSON path (or a file, or an environment variable), the problem, what was expected."""

    path: str
    problem: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; expected {self.expected}."


class ConfigurationError(ThirdPartyConfigError):
    """A configuration with one or more faults; nothing of it is stored."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__(_text_of(self.faults), code="configuration")


def _text_of(faults: tuple[Fault, ...]) -> str:
    if len(faults) == 1:
        return str(faults[0])
    return "\n".join([f"The configuration has {len(faults)} faults:", *(f"  {fault}" for fault in faults)])


def join(path: str, key: str | int) -> str:
    """The JSON path of a member or an element of what stands at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{show(key)}]"


def show(text: str) -> str:
    """A text in quotes, cut short, with everything escaped that a terminal would not just print."""
    cut = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        (str, "a text"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "an object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def nearest(text: str, known: Iterable[str]) -> str | None:
    """The known word that `text` most likely means, whatever its case and its dashes."""
    words = {_bare(word): word for word in known}
    found = difflib.get_close_matches(_bare(text[:SHOWN]), words, n=1, cutoff=0.6)
    return words[found[0]] if found else None


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
