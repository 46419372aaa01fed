"""The plan of a backfill: its windows, requests and time, without any request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import source_status, sources
from blocks.store.backfill.plan import PlannedWindow
from deployments.backfill_plan import BackfillPlan, group_windows, make_plan

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOUR = 3600 * 10**9


@pytest.fixture
def plan(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> BackfillPlan:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "6/60")
    sources.save(engine, SOURCE)
    return make_plan(engine, source_status.sources(engine)[0], "10h", None, apis=["audit"], window="1h")


def test_the_time_follows_from_the_rate_limits(plan: BackfillPlan) -> None:
    assert (len(plan.windows), plan.requests, plan.known) == (10, 10, 0)
    assert plan.seconds == pytest.approx((10 / (6 * plan.share) - 1) * 60)
    assert plan.duration.endswith("at least")
    assert plan.wanted.apis == (Api.AUDIT,)


def test_without_limits_it_is_as_fast_as_the_server(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "off")
    sources.save(engine, SOURCE)
    made = make_plan(engine, source_status.sources(engine)[0], "130d", "1h", apis=[], window="1d")
    assert (made.seconds, made.duration) == (0, "as fast as the server answers")
    assert made.notes == ("1Password keeps 120 days, so it begins there.",)
    assert len(made.wanted.apis) == 3


def test_an_api_that_is_not_collected_is_named(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    with pytest.raises(ThirdPartyConfigError, match="no API 'audits'"):
        make_plan(engine, source_status.sources(engine)[0], "1d", None, apis=["audits"], window="1d")


def test_equal_windows_share_a_line() -> None:
    windows = [PlannedWindow(api, at * HOUR, (at + 1) * HOUR, at // 2, 1) for at in range(4) for api in ("a", "b")]
    assert [
        (line.start_ns, line.end_ns, line.windows, line.known, line.requests) for line in group_windows(windows)
    ] == [
        (0, 2 * HOUR, 2, (0, 0), 4),
        (2 * HOUR, 4 * HOUR, 2, (2, 2), 4),
    ]
