"""One line of the doctor's report: the result of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "warning", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a step; for a warning or a failure, what to do."""

    step: str
    result: Result
    description: str
    hint: str = ""


def ok(step: str, description: str) -> Finding:
    return Finding(step, "ok", description)


def warning(step: str, description: str, hint: str) -> Finding:
    return Finding(step, "warning", description, hint)


def failed(step: str, description: str, hint: str) -> Finding:
    return Finding(step, "failed", description, hint)


def not_checked(step: str, why: str) -> Finding:
    return Finding(step, "not checked", why)
