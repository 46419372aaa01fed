"""How far back the first run of a source reads: a duration (`24h`), a date or a time."""

from __future__ import annotations

import re

from whenever import OffsetDateTime

from blocks.errors import ThirdPartyConfigError

DEFAULT = "24h"
DAYS_MAX = 120
FORMS = (
    f"a duration such as 90m, 24h, 7d or 2w (at most {DAYS_MAX} days), a date, or a time such as 2026-11-01T00:00:00Z"
)
_SECOND = 10**9
_DAY = 86_400 * _SECOND
_UNITS = {"m": 60 * _SECOND, "h": 3600 * _SECOND, "d": _DAY, "w": 7 * _DAY}
_DURATION = re.compile(r"([0-9]{1,9})([mhdw])")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def start_of(collect_from: str | None, now_ns: int) -> int:
    """Where the first run starts, in nanoseconds since 1970, and never more than 120 days before `now_ns`.

    Raises ThirdPartyConfigError where the text is neither a duration nor a time. A time after `now_ns` is given
    back as it is: `problem_of` has refused what lay in the future when it was configured.
    """
    try:
        start = _start(collect_from or DEFAULT, now_ns)
    except ValueError as error:
        raise ThirdPartyConfigError(f"collect_from is wrong: {error}.", hint=f"Use {FORMS}.") from None
    return max(start, now_ns - DAYS_MAX * _DAY)


def moment(text: str, now_ns: int) -> int:
    """A duration before `now_ns`, a date or a time, in ns since 1970. Raises ThirdPartyConfigError."""
    try:
        return _start(text, now_ns)
    except ValueError as error:
        raise ThirdPartyConfigError(f"{text!r} is not a time: {error}.", hint=f"Use {FORMS}.") from None


def problem_of(text: str, now_ns: int) -> str:
    """What is wrong with the text, or nothing."""
    try:
        start = _start(text, now_ns)
    except ValueError as error:
        return str(error)
    if start > now_ns:
        return "it lies in the future"
    if _DURATION.fullmatch(text) and start < now_ns - DAYS_MAX * _DAY:
        return f"it is more than {DAYS_MAX} days"
    return ""


def is_too_old(text: str, now_ns: int) -> bool:
    """Whether it is a time that `start_of` moves up, since it has aged past the 120 days."""
    return _start(text, now_ns) < now_ns - DAYS_MAX * _DAY


def duration_ns(text: str) -> int:
    """The nanoseconds of `90m`, `24h`, `7d` or `2w`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("it is no duration such as 90m, 24h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


def _start(text: str, now_ns: int) -> int:
    if _DURATION.fullmatch(text):
        return now_ns - duration_ns(text)
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError("it is neither a duration nor a time")
    if match[1] and not match[3]:
        raise ValueError("the time has no zone; put a Z behind it for UTC")
    return _time(text if match[1] else f"{text}T00:00:00Z")


def _time(text: str) -> int:
    try:
        return OffsetDateTime.parse_iso(text.upper().replace(" ", "T").replace("Z", "+00:00")).timestamp(
            unit="nanosecond"
        )
    except ValueError:
        raise ValueError("there is no such date or time") from None
