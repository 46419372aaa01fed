"""A span of time as a person asks for it: dates, times with any offset, or durations before now."""

from __future__ import annotations

from dataclasses import dataclass

from blocks.durations import DAYS_MAX, duration_ns, moment
from blocks.errors import ThirdPartyConfigError

_DAY_NS = 86_400 * 10**9
SHORTEST_NS = 60 * 10**9
FORMS = "a date (UTC), a time such as 2026-11-01T00:00:00Z, or a duration before now such as 30d"


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ns` to before `end_ns`, since 1970. `notes` say what was made of what was asked for."""

    start_ns: int
    end_ns: int
    notes: tuple[str, ...] = ()


def parse_span(start: str, end: str | None, now_ns: int) -> Span:
    """The span from `start` to before `end`, which is now where left out. A date is its first moment in UTC.

    What is older than 120 days is cut off, since 1Password no longer has it, and what lies ahead too. Raises
    ThirdPartyConfigError with all faults at once where a time is none, or nothing is left.
    """
    faults: list[str] = []
    start_ns = _moment("start", start, now_ns, faults)
    end_ns = now_ns if end is None else _moment("end", end, now_ns, faults)
    if not faults and start_ns > now_ns:
        faults.append("start lies ahead")
    elif not faults and start_ns >= end_ns:
        faults.append("start is not before end")
    elif not faults and end_ns <= now_ns - DAYS_MAX * _DAY_NS:
        faults.append(f"end is more than {DAYS_MAX} days ago, and 1Password keeps no older events")
    if faults:
        raise ThirdPartyConfigError(
            f"The span is wrong: {'; '.join(faults)}.", hint=f"Give {FORMS}; start before end.", code="span"
        )
    return _cut(start_ns, end_ns, now_ns)


def parse_last(text: str, now_ns: int) -> Span:
    """The span of a duration before now, such as 48h, cut as `parse_span` cuts it. Raises ThirdPartyConfigError."""
    return _cut(now_ns - _duration_ns("last", text, "48h or 7d", "span"), now_ns, now_ns)


def parse_width(text: str) -> int:
    """The length of a window, in nanoseconds. Raises ThirdPartyConfigError."""
    return _duration_ns("window", text, "6h or 1d", "window")


def _duration_ns(what: str, text: str, such_as: str, code: str) -> int:
    try:
        length_ns = duration_ns(text)
    except ValueError:
        length_ns = 0
    if length_ns < SHORTEST_NS:
        raise ThirdPartyConfigError(
            f"The {what} {text!r} is no duration of a minute or more.", hint=f"Give one such as {such_as}.", code=code
        )
    return length_ns


def _moment(name: str, text: str, now_ns: int, faults: list[str]) -> int:
    try:
        return moment(text.strip(), now_ns)
    except ThirdPartyConfigError as error:
        faults.append(f"{name}: {error.message.rstrip('.')}")
        return 0


def _cut(start_ns: int, end_ns: int, now_ns: int) -> Span:
    notes: list[str] = []
    oldest_ns = now_ns - DAYS_MAX * _DAY_NS
    if start_ns < oldest_ns:
        notes.append(f"1Password keeps {DAYS_MAX} days, so it begins there.")
    if end_ns > now_ns:
        notes.append("The end lies ahead, so it ends now.")
    return Span(max(start_ns, oldest_ns), min(end_ns, now_ns), tuple(notes))
