"""Durations, times and spans as a person writes them."""

from __future__ import annotations

import pytest

from blocks.durations import (
    DAYS_MAX,
    duration_ns,
    parse_last,
    parse_span,
    parse_time,
    parse_width,
)
from blocks.errors import ThirdPartyConfigError

NOW = 1_790_000_000 * 10**9  # 2026-09-21T14:13:20Z
MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DATE = 1_789_948_800 * 10**9  # 2026-09-21


@pytest.mark.parametrize(("text", "ns"), [("90m", 90 * MINUTE), ("24h", DAY), ("7d", 7 * DAY), ("2w", 14 * DAY)])
def test_durations(text: str, ns: int) -> None:
    assert duration_ns(text) == ns
    assert parse_time(text, NOW) == NOW - ns


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-7d", "7D", "1.5h", "7days", "1" * 10 + "d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="90m, 24h, 7d or 2w"):
        duration_ns(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-21",
        "2026-09-21T00:00:00Z",
        "2026-09-21 00:00:00z",
        "2026-09-21t02:00:00+02:00",
        "2026-09-21T00:00:00.000000000Z",
    ],
)
def test_times_in_each_form(text: str) -> None:
    assert parse_time(text, NOW) == DATE


def test_a_time_keeps_its_nine_digits() -> None:
    assert parse_time("2026-09-21T00:00:00.123456789Z", NOW) == DATE + 123_456_789


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("soon", "neither a duration nor a time"),
        ("2026-09-21T00:00:00", "no zone"),
        ("2026-02-30", "no such date or time"),
        ("2026-09-21T25:00:00Z", "no such date or time"),
    ],
)
def test_what_is_no_time(text: str, words: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=words):
        parse_time(text, NOW)


def test_a_span_from_a_start_to_now_or_to_its_end() -> None:
    span = parse_span(" 7d ", None, NOW)
    assert (span.start_ns, span.end_ns, span.notes) == (NOW - 7 * DAY, NOW, ())
    assert parse_span("2026-09-21", "1h", NOW).end_ns == NOW - HOUR


def test_a_span_is_cut_to_what_1password_keeps_and_to_the_present() -> None:
    span = parse_span("2020-01-01", "2030-01-01", NOW)
    assert (span.start_ns, span.end_ns) == (NOW - DAYS_MAX * DAY, NOW)
    assert len(span.notes) == 2


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2030-01-01", None, "start lies ahead"),
        ("1d", "1d", "start is not before end"),
        ("2020-01-01", "2020-02-01", "end is more than 120 days ago"),
        ("soon", "later", "start: 'soon' is not a time.*end: 'later' is not a time"),
    ],
)
def test_all_problems_of_a_span_are_reported_at_once(start: str, end: str | None, words: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=words) as raised:
        parse_span(start, end, NOW)
    assert raised.value.code == "span"


def test_the_last_hours_and_the_width_of_a_window() -> None:
    assert parse_last("48h", NOW).start_ns == NOW - 2 * DAY
    assert parse_last("200d", NOW).start_ns == NOW - DAYS_MAX * DAY
    assert parse_width("1m") == MINUTE
    for text in ("0m", "2026-01-01", ""):
        with pytest.raises(ThirdPartyConfigError, match="no duration of a minute or more"):
            parse_width(text)
        with pytest.raises(ThirdPartyConfigError, match="no duration of a minute or more"):
            parse_last(text, NOW)
