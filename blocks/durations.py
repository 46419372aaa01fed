"""Times, durations and spans as a person writes them: `24h`, `2026-11-01`, `2026-11-01T00:00:00Z`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whenever import OffsetDateTime

from blocks.errors import ThirdPartyConfigError

DAYS_MAX = 120
FORMS = "a duration such as 90m, 24h, 7d or 2w, a date, or a time such as 2026-11-01T00:00:00Z"
SPAN_FORMS = "a date (UTC), a time such as 2026-11-01T00:00:00Z, or a duration before now such as 30d"
SHORTEST_NS = 60 * 10**9
DAY_NS = 86_400 * 10**9
_UNITS = {"m": 60 * 10**9, "h": 3600 * 10**9, "d": DAY_NS, "w": 7 * DAY_NS}
_DURATION = re.compile(r"([0-9]{1,9})([mhdw])")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def is_duration(text: str) -> bool:
    """True for `90m`, `24h`, `7d` or `2w`."""
    return _DURATION.fullmatch(text) is not None


def moment_ns(text: str, now_ns: int) -> int:
    """A duration before `now_ns`, a date or a time, in ns since 1970. Raises ValueError with what is wrong."""
    if _DURATION.fullmatch(text):
        return now_ns - duration_ns(text)
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError("it is neither a duration nor a time")
    if match[1] and not match[3]:
        raise ValueError("the time has no zone; put a Z behind it for UTC")
    return _time(text if match[1] else f"{text}T00:00:00Z")


def parse_time(text: str, now_ns: int) -> int:
    """A duration before `now_ns`, a date or a time, in ns since 1970. Raises ThirdPartyConfigError."""
    try:
        return moment_ns(text, now_ns)
    except ValueError as error:
        raise ThirdPartyConfigError(f"{text!r} is not a time: {error}.", hint=f"Use {FORMS}.") from None


def duration_ns(text: str) -> int:
    """The nanoseconds of `90m`, `24h`, `7d` or `2w`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("it is no duration such as 90m, 24h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ns` to before `end_ns` (ns since 1970). `notes` say how the requested span was changed."""

    start_ns: int
    end_ns: int
    notes: tuple[str, ...] = ()


def parse_span(start: str, end: str | None, now_ns: int) -> Span:
    """The span from `start` to before `end` (default: now). A date is its first moment in UTC.

    The part before the last 120 days is cut off, since 1Password no longer has it, and so is the future. Raises
    ThirdPartyConfigError with all problems at once if a time is not valid or nothing is left.
    """
    problems: list[str] = []
    start_ns = _moment("start", start, now_ns, problems)
    end_ns = now_ns if end is None else _moment("end", end, now_ns, problems)
    if not problems and start_ns > now_ns:
        problems.append("start lies ahead")
    elif not problems and start_ns >= end_ns:
        problems.append("start is not before end")
    elif not problems and end_ns <= now_ns - DAYS_MAX * DAY_NS:
        problems.append(f"end is more than {DAYS_MAX} days ago, and 1Password keeps no older events")
    if problems:
        raise ThirdPartyConfigError(
            f"The span is wrong: {'; '.join(problems)}.", hint=f"Give {SPAN_FORMS}; start before end.", code="span"
        )
    return _cut(start_ns, end_ns, now_ns)


def parse_last(text: str, now_ns: int) -> Span:
    """The span of a duration before now, such as 48h, cut as `parse_span` cuts it. Raises ThirdPartyConfigError."""
    return _cut(now_ns - _duration_ns("last", text, "48h or 7d", "span"), now_ns, now_ns)


def parse_width(text: str) -> int:
    """The length of a window, in nanoseconds. Raises ThirdPartyConfigError."""
    return _duration_ns("window", text, "6h or 1d", "window")


def _time(text: str) -> int:
    try:
        return OffsetDateTime.parse_iso(text.upper().replace(" ", "T").replace("Z", "+00:00")).timestamp(
            unit="nanosecond"
        )
    except ValueError:
        raise ValueError("there is no such date or time") from None


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


def _moment(name: str, text: str, now_ns: int, problems: list[str]) -> int:
    try:
        return parse_time(text.strip(), now_ns)
    except ThirdPartyConfigError as error:
        problems.append(f"{name}: {error.message.rstrip('.')}")
        return 0


def _cut(start_ns: int, end_ns: int, now_ns: int) -> Span:
    notes: list[str] = []
    oldest_ns = now_ns - DAYS_MAX * DAY_NS
    if start_ns < oldest_ns:
        notes.append(f"1Password keeps {DAYS_MAX} days, so it begins there.")
    if end_ns > now_ns:
        notes.append("The end lies ahead, so it ends now.")
    return Span(max(start_ns, oldest_ns), min(end_ns, now_ns), tuple(notes))
