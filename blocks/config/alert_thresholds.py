"""When something is a warning: the silence of an API, the lag of collecting, and the days before a token expires."""

from __future__ import annotations

from blocks.durations import duration_ns
from blocks.events_api.models import Api

SILENCE_DEFAULT = "24h"
LAG_DEFAULT = "1h"
OFF = "off"
SILENCE_FORMS = "a duration such as 24h or 7d, off, or one for each API: sign-in=24h, itemUsage=7d, audit=off"
LAG_FORMS = "a duration such as 30m or 2h, or off"
AHEAD_NS = 300 * 10**9
"""How far after its receipt an event may be dated without a warning: the clocks of two machines differ."""
TOKEN_EXPIRES_DAYS = (1, 7, 14)
"""A token that expires within these days is a warning, which is repeated at each of them."""
USUAL = 1.5  # times the longest time between events of the last weeks


def silence_ns(text: str | None, api: Api, quiet_ns: int | None) -> int | None:
    """How long `api` may be without an event, in ns; None for ever.

    Without a bound of its own that is a day, or half as long again as it was silent lately between two events.
    Raises ValueError where the text is no bound.
    """
    named = _by_api(text or "").get(api)
    if named is not None:
        return _bound(named)
    return max(duration_ns(SILENCE_DEFAULT), int((quiet_ns or 0) * USUAL))


def lag_ns(text: str | None) -> int | None:
    """How old the last complete drain may be, in ns; None for ever. Raises ValueError where the text is no bound."""
    return _bound(text or LAG_DEFAULT)


def silence_problem(text: str) -> str:
    """What is wrong with the text, or nothing."""
    try:
        for named in _by_api(text).values():
            _bound(named)
    except ValueError as error:
        return str(error)
    return ""


def lag_problem(text: str) -> str:
    try:
        lag_ns(text)
    except ValueError as error:
        return str(error)
    return ""


def _by_api(text: str) -> dict[Api, str]:
    if not text:
        return {}
    if "=" not in text:
        return dict.fromkeys(Api, text.strip())
    found: dict[Api, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in set(Api):
            raise ValueError("it names an API that there is not")
        found[Api(name.strip())] = value.strip()
    return found


def _bound(text: str) -> int | None:
    return None if text == OFF else duration_ns(text)
