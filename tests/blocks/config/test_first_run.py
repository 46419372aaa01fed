"""How far back the first run of a source reads."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.config.first_run import first_start_ns, is_too_old, start_problem
from blocks.errors import ThirdPartyConfigError

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_795_000_000 * SECOND  # 2026-11-18T11:06:40Z


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        (None, DAY),
        ("", DAY),
        ("0m", 0),
        ("90m", 90 * MINUTE),
        ("24h", DAY),
        ("7d", 7 * DAY),
        ("2w", 14 * DAY),
        ("120d", 120 * DAY),
        ("2026-11-18T11:06:39.999999999Z", 1),
        ("2026-11-18t11:06:40z", 0),
        ("2026-11-18 12:06:40+01:00", 0),
        ("2026-11-18", 11 * HOUR + 6 * MINUTE + 40 * SECOND),
        ("2020-01-01", 120 * DAY),
        ("0001-01-01", 120 * DAY),
        ("121d", 120 * DAY),
    ],
)
def test_where_the_first_run_starts(text: str | None, ago: int) -> None:
    assert first_start_ns(text, NOW) == NOW - ago


def test_a_time_after_the_present_moment_stays() -> None:
    assert first_start_ns("2026-11-18", NOW - 30 * DAY) == NOW - 11 * HOUR - 6 * MINUTE - 40 * SECOND


@pytest.mark.parametrize("text", ["soon", "h", "-1h", "1.5h", "24H", "2026-13-01", "20261101", "0000-01-01"])
def test_what_is_no_start(text: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="collect_from is wrong"):
        first_start_ns(text, NOW)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_start_or_an_error(text: str) -> None:
    with contextlib.suppress(ThirdPartyConfigError):
        assert first_start_ns(text, NOW) >= NOW - 120 * DAY


def test_a_start_is_a_problem_in_the_future_and_as_a_long_duration_but_not_as_an_old_time() -> None:
    assert start_problem("2027-01-01", NOW) == "it lies in the future"
    assert start_problem("121d", NOW) == "it is more than 120 days"
    assert start_problem("120d", NOW) == ""
    assert start_problem("2020-01-01", NOW) == ""
    assert is_too_old("2020-01-01", NOW)
    assert not is_too_old("119d", NOW)
