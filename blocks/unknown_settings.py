"""Settings that this version does not know: misspelled, or written for a newer version."""

from __future__ import annotations

import os

from blocks.problems import closest_match
from blocks.settings import PREFIX, SETTINGS


def sentences() -> list[str]:
    """A sentence for each variable with this program's prefix that is none of its settings."""
    known = sorted(one.name for one in SETTINGS)
    named = sorted(name.removeprefix(PREFIX) for name in os.environ if name.startswith(PREFIX))
    return [_sentence(name, known) for name in named if name not in known]


def _sentence(name: str, known: list[str]) -> str:
    close = closest_match(name, known)
    suggestion = f" Did you mean {PREFIX}{close}?" if close else ""
    return f"{PREFIX}{name} is not a setting of this version and has no effect.{suggestion}"
