"""How commands speak: times, tables of 80 columns, and sentences on standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from whenever import Instant

from blocks import clock

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ERROR = Console(stderr=True, highlight=False)
OUT = Console(highlight=False)


def note(text: str) -> None:
    """A line for the person, which no script reads."""
    ERROR.print(text, markup=False)


def warn(text: str) -> None:
    ERROR.print(f"Warning: {text}", style="yellow", markup=False)


def time_of(ns: int | None) -> str:
    """`2026-11-22 20:15:00Z`, or nothing."""
    return Instant.from_timestamp_nanos(ns).format_iso(unit="second").replace("T", " ") if ns is not None else ""


def iso_of(ns: int | None) -> str | None:
    """RFC 3339 in UTC with all its digits."""
    return Instant.from_timestamp_nanos(ns).format_iso() if ns is not None else None


def span_of(ns: int | None) -> str:
    """How long ago: `3 min`."""
    if ns is None:
        return ""
    seconds = max((clock.now_ns() - ns) / 1e9, 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def quiet_prefect() -> None:
    """Only Prefect's warnings, unless the person asked for more. To be called before Prefect is imported."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")


def with_spinner(text: str, work: Callable[[], T]) -> T:
    """Do the work with a moving sign on a terminal, and silently elsewhere."""
    if not sys.stderr.isatty():
        return work()
    with ERROR.status(text):
        return work()


def plain(value: Any) -> str:
    """Text from an event for a terminal: without the control characters that could drive it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
