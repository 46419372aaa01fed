"""How far back the first run of a source reads: `collect_from`, or LOOKBACK_DEFAULT without it."""

from __future__ import annotations

from blocks.durations import DAY_NS, DAYS_MAX, is_duration, moment_ns
from blocks.errors import ThirdPartyConfigError

LOOKBACK_DEFAULT = "24h"
LOOKBACK_FORMS = (
    f"a duration such as 90m, 24h, 7d or 2w (at most {DAYS_MAX} days), a date, or a time such as 2026-11-01T00:00:00Z"
)


def first_start_ns(collect_from: str | None, now_ns: int) -> int:
    """The start of the first run, in nanoseconds since 1970, at most 120 days before `now_ns`.

    Raises ThirdPartyConfigError if the text is neither a duration nor a time. A time after `now_ns` is returned
    unchanged: `start_problem` rejects a time in the future when it is configured.
    """
    try:
        start = moment_ns(collect_from or LOOKBACK_DEFAULT, now_ns)
    except ValueError as error:
        raise ThirdPartyConfigError(f"collect_from is wrong: {error}.", hint=f"Use {LOOKBACK_FORMS}.") from None
    return max(start, now_ns - DAYS_MAX * DAY_NS)


def start_problem(text: str, now_ns: int) -> str:
    """What is wrong with the text; empty if nothing is."""
    try:
        start = moment_ns(text, now_ns)
    except ValueError as error:
        return str(error)
    if start > now_ns:
        return "it lies in the future"
    if is_duration(text) and start < now_ns - DAYS_MAX * DAY_NS:
        return f"it is more than {DAYS_MAX} days"
    return ""


def is_too_old(text: str, now_ns: int) -> bool:
    """True if it is a time that `first_start_ns` moves up, because it is more than 120 days ago by now."""
    return moment_ns(text, now_ns) < now_ns - DAYS_MAX * DAY_NS
