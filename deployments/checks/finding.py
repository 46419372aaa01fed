"""One line of a check: what a step found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "warning", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found, and for a warning or a fault what to do."""

    step: str
    result: Result
    found: str
    todo: str = ""


def ok(step: str, found: str) -> Finding:
    return Finding(step, "ok", found)


def warning(step: str, found: str, todo: str) -> Finding:
    return Finding(step, "warning", found, todo)


def failed(step: str, found: str, todo: str) -> Finding:
    return Finding(step, "failed", found, todo)


def not_checked(step: str, why: str) -> Finding:
    return Finding(step, "not checked", why)
