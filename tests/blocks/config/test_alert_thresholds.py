"""How long an API may be silent or behind before it is a warning."""

from __future__ import annotations

import pytest

from blocks.config.alert_thresholds import lag_ns, lag_problem, silence_ns, silence_problem
from blocks.events_api.models import Api

HOUR = 3600 * 10**9
DAY = 24 * HOUR


def test_without_a_bound_it_is_a_day_or_half_as_long_again_as_it_was_quiet() -> None:
    assert silence_ns(None, Api.AUDIT, None) == DAY
    assert silence_ns("", Api.AUDIT, 2 * HOUR) == DAY
    assert silence_ns(None, Api.AUDIT, 2 * DAY) == 3 * DAY


def test_one_bound_is_for_all_apis_and_a_list_for_those_it_names() -> None:
    assert [silence_ns("7d", api, 30 * DAY) for api in Api] == [7 * DAY] * 3
    text = "sign-in=24h, itemUsage=off"
    assert [silence_ns(text, api, None) for api in Api] == [DAY, None, DAY]
    assert silence_ns(text, Api.AUDIT, 2 * DAY) == 3 * DAY, "an API that is not named has its usual bound"


def test_off_is_no_bound() -> None:
    assert silence_ns("off", Api.AUDIT, None) is None
    assert lag_ns("off") is None


def test_the_bound_of_a_lag() -> None:
    assert lag_ns(None) == HOUR
    assert lag_ns("30m") == HOUR // 2


@pytest.mark.parametrize("text", ["soon", "door=1h", "audit=", "=1h", "1h,2h"])
def test_what_is_no_bound_of_silence(text: str) -> None:
    assert silence_problem(text)
    with pytest.raises(ValueError, match=r"\w"):
        silence_ns(text, Api.AUDIT, None)


def test_what_is_no_bound_of_a_lag() -> None:
    assert lag_problem("audit=1h")
    assert lag_problem("30m") == silence_problem("24h") == silence_problem("audit=off") == ""
