"""How much of each account's rate limits is used, from rows written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.moving_clock import START_NS

from blocks.errors import ThirdPartyConfigError
from blocks.store.rate_limit_usage import RateLimitUsage, usages

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

pytestmark = pytest.mark.usefixtures("moving")
MINUTE, HOUR = START_NS // 10**9, START_NS // (60 * 10**9)
"""The cells of this moment: a second of a window of 60, and a minute of a window of 3600."""


def store(engine: Engine, key: str, spent: dict[str, Any], paused_ns: int | None = None) -> None:
    values = {"key": key, "spent": json.dumps(spent), "paused_ns": paused_ns}
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO rate_limits (key, spent, grants, paused_until_ns) VALUES (:key, :spent, 0, :paused_ns)"),
            values,
        )


def test_without_requests_nothing_is_used(engine: Engine) -> None:
    assert usages(engine) == []


def test_each_account_has_a_usage_of_each_documented_window(engine: Engine) -> None:
    store(engine, "account/B", {})
    store(engine, "account/A", {"60": {MINUTE: 2, MINUTE - 61: 3, MINUTE - 62: 50}, "3600": {HOUR - 5: 40, HOUR: 2}})
    assert usages(engine) == [
        RateLimitUsage("A", 60.0, 5, 600, None),
        RateLimitUsage("A", 3600.0, 42, 30_000, None),
        RateLimitUsage("B", 60.0, 0, 600, None),
        RateLimitUsage("B", 3600.0, 0, 30_000, None),
    ]


def test_a_source_without_a_known_account_counts_as_long_as_it_has_requests(
    engine: Engine, moving: MovingClock
) -> None:
    store(engine, "source/1", {"60": {MINUTE: 7}, "3600": {HOUR: 7}})
    assert [(one.account, one.used) for one in usages(engine)] == [("source/1", 7), ("source/1", 7)]
    moving.advance(62)
    assert [(one.account, one.window_seconds, one.used) for one in usages(engine)] == [("source/1", 3600.0, 7)]
    moving.advance(3700)
    assert usages(engine) == []


@pytest.mark.parametrize(("paused_ns", "shown"), [(START_NS + 1, START_NS + 1), (START_NS, None), (None, None)])
def test_a_pause_is_shown_until_it_is_over(engine: Engine, paused_ns: int | None, shown: int | None) -> None:
    store(engine, "account/A", {}, paused_ns)
    assert [one.paused_until_ns for one in usages(engine)] == [shown, shown]


def test_the_windows_are_those_of_the_setting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, "account/A", {"60": {MINUTE: 2}, "30": {2 * MINUTE: 4}})
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "10/30")
    assert usages(engine) == [RateLimitUsage("A", 30.0, 4, 10, None)]


def test_without_limits_there_is_no_usage(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, "account/A", {"60": {MINUTE: 2}})
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "off")
    assert usages(engine) == []


def test_a_wrong_setting_is_an_error(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "many")
    with pytest.raises(ThirdPartyConfigError) as raised:
        usages(engine)
    assert str(raised.value) == (
        "ONEPASSWORD_SOURCE_RATE_LIMITS: 'many' is not REQUESTS/SECONDS, once or more. Write `600/60 30000/3600`, or "
        "`off`."
    )
