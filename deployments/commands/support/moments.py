"""Times that options take: `--since 24h`, `--until 2026-11-01`."""

from __future__ import annotations

from blocks import clock
from blocks.durations import parse_time
from blocks.errors import ThirdPartyConfigError

TIMES = "a duration such as 90m, 24h or 7d (before now), a date, or a time such as 2026-11-01T00:00:00Z"


def parse_time_option(flag: str, text: str | None) -> int | None:
    """The time that an option names, in ns since 1970. Raises ThirdPartyConfigError, which names the option."""
    if text is None:
        return None
    try:
        return parse_time(text, clock.now_ns())
    except ThirdPartyConfigError as error:
        raise ThirdPartyConfigError(f"{flag}: {error.message}", hint=f"Use {TIMES}.", code="usage") from None
