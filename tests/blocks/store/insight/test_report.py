"""Every figure of the page Insight is that of a slow reckoning over the bodies, on both databases."""

from __future__ import annotations

import json
import random
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.indexed_events import DAY_NS, HOUR_NS, NOON_NS, CollectedEvents, event, index_all
from support.insight_oracle import read_all, reckon

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import AUDIT_ACTIONS, ITEM_ACTIONS, SIGN_IN_TYPES
from blocks.store.insight import counted_days, report, texts
from blocks.store.insight.figures import Figure, InsightQuery, Report
from blocks.store.insight.report import build_report
from blocks.store.search import results
from deployments.sandbox.sample_events import random_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    MakeOnce = Callable[[str, Callable[[Engine], None]], None]

MIDNIGHT_NS = NOON_NS - DAY_NS // 2
USERS = [{"uuid": f"USER{number}", "name": f"User {number}", "email": f"u{number}@example.org"} for number in range(6)]
COUNTRIES = ["NZ", "FR", "Canada", "CA", ""]
APPS = [("1Password for Mac", "8.1", "MacOSX"), ("1Password CLI", "2.30", "Linux"), ("", "", "")]


def bodies(rng: random.Random, api: Api) -> dict[str, Any]:
    """The members of a made-up event; some are missing."""
    user = rng.choice([*USERS, {}, {"email": "other@example.org"}])
    app, version, system = rng.choice(APPS)
    client = {"app_name": app, "app_version": version, "os_name": system, "ip_address": f"192.0.2.{rng.randrange(4)}"}
    shared = (
        {"country": rng.choice(COUNTRIES)} if rng.random() < 0.5 else {"location": {"country": rng.choice(COUNTRIES)}}
    )
    if api is Api.SIGN_IN:
        category = rng.choice([*SIGN_IN_TYPES, "moon_failed"])
        kind = rng.choice(SIGN_IN_TYPES.get(category, ("new",)))
        return {**shared, "category": category, "type": kind, "target_user": user, "client": client}
    if api is Api.ITEM_USAGE:
        item = {"vault_uuid": f"vault{rng.randrange(3)}", "item_uuid": f"item{rng.randrange(9)}"}
        return {**shared, **item, "action": rng.choice(ITEM_ACTIONS[:6]), "user": user, "client": client}
    kind = rng.choice(list(AUDIT_ACTIONS))
    action = rng.choice(AUDIT_ACTIONS[kind].split())
    return {**shared, "actor_details": user, "action": action, "object_type": kind, "object_uuid": "o"}


@pytest.fixture(autouse=True)
def _time_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine would leave days uncounted, as it should: a page does not wait for them."""
    monkeypatch.setattr(counted_days, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.fixture
def filled(engine: Engine, moving: MovingClock, made_once: MakeOnce) -> Engine:
    """Six weeks of made-up events, which came late now and then; a few have no members at all."""
    moving._now_ns = NOON_NS
    made_once("six_weeks", collect_six_weeks)
    return engine


def collect_six_weeks(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    rng = random_for(1, "insight", 0)
    for number, api in enumerate([*Api] * 3):
        times = [MIDNIGHT_NS - rng.randrange(42 * 24) * HOUR_NS + rng.randrange(HOUR_NS) for _ in range(70)]
        collected.add(api, *(event(f"{number}-{at}", time, bodies(rng, api)) for at, time in enumerate(times)))
    collected.add(Api.AUDIT, event("empty", MIDNIGHT_NS - HOUR_NS, {}))
    collected.add(Api.SIGN_IN, event("none", MIDNIGHT_NS - HOUR_NS, {}))
    for late in (-5, 0, 60, 61, 300, 301, 3600, 3601):  # seconds: the bounds of the classes of lateness
        collected.audit(f"late{late}", NOON_NS - late * 10**9)
    index_all(engine)


def count_days(engine: Engine) -> None:
    while counted_days.count_stale_days(engine, 50):
        pass


def as_reckoned(report: Report) -> dict[str, Any]:
    """The report in the form of the oracle, without what is zero."""

    def figures(found: Any) -> dict[str, int]:
        return {one.value: one.events for one in found}

    def pairs(found: Any) -> dict[str, int]:
        return {f"{one.kind}|{one.action}": one.events for one in found}

    signs, items = report.sign_ins, report.item_usages
    return {
        "events": report.events,
        "good by bucket": {str(one.start_ns): one.succeeded for one in signs.outcomes if one.succeeded},
        "failed by bucket": {str(one.start_ns): one.failed for one in signs.outcomes if one.failed},
        "reasons": pairs(signs.reasons),
        "failed users": figures(signs.failed_users),
        "failed ips": figures(signs.failed_ips),
        "mfa reasons": figures(signs.mfa_reasons),
        "mfa users": figures(signs.mfa_users),
        "item actions": figures(items.actions),
        "item actions by bucket": {
            f"{one.start_ns}|{action.value}": events
            for one in items.series
            for action, events in zip(items.actions, one.counts, strict=True)
            if events
        },
        "vaults": figures(items.vaults),
        "items": figures(items.items),
        "item users": figures(items.users),
        "taken": {one.user: (one.counts, round(one.per_day, 9), round(one.past_per_day, 9)) for one in items.taken},
        "audits": pairs(report.audits),
        "audit users": figures(report.audit_users),
        "countries": {one.value: (one.events, one.failed, one.is_new) for one in report.countries},
        "clients": {f"{one.client}|{one.version}": one.events for one in report.clients},
        "systems": figures(report.systems),
        "quiet": {one.user: one.last_day for one in report.quiet_users},
        "late": report.late,
    }


SPANS = {
    "all": (MIDNIGHT_NS - 42 * DAY_NS, MIDNIGHT_NS),
    "a week": (MIDNIGHT_NS - 7 * DAY_NS, MIDNIGHT_NS),
    "parts of days": (MIDNIGHT_NS - 9 * DAY_NS - 5 * HOUR_NS - 7, MIDNIGHT_NS - 2 * DAY_NS - 11),
    "hours": (MIDNIGHT_NS - 30 * HOUR_NS, MIDNIGHT_NS),
    "within a day": (MIDNIGHT_NS - 5 * HOUR_NS, MIDNIGHT_NS - HOUR_NS),
    "lately": (NOON_NS - 2 * HOUR_NS, NOON_NS + HOUR_NS),
    "nothing": (MIDNIGHT_NS + DAY_NS, MIDNIGHT_NS + 2 * DAY_NS),
}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("stored", [True, False], ids=["stored days", "counted now"])
def test_every_figure_is_that_of_a_reckoning_over_the_bodies(
    filled: Engine, made_once: MakeOnce, span: str, stored: bool
) -> None:
    if stored:
        made_once("six_weeks_counted", count_days)
    report = build_report(filled, InsightQuery(*SPANS[span]))
    found, expected = as_reckoned(report), reckon(read_all(filled), *SPANS[span])
    if not stored:  # the past is compared as far as it is counted
        assert report.past_missing or span == "all"
        for name in ("quiet", "taken", "countries"):
            found.pop(name), expected.pop(name)
    assert report.missing == 0
    assert found == expected


def test_a_source_has_figures_of_its_own(filled: Engine) -> None:
    since_ns, until_ns = SPANS["all"]
    everything = build_report(filled, InsightQuery(since_ns, until_ns))
    with filled.connect() as connection:
        source_id = connection.execute(text("SELECT id FROM sources")).scalar_one()
    assert build_report(filled, InsightQuery(since_ns, until_ns, source_id)).events == everything.events
    assert sum(build_report(filled, InsightQuery(since_ns, until_ns, "another")).events.values()) == 0


def test_changes_of_security_and_access_are_listed_newest_first(filled: Engine) -> None:
    report = build_report(filled, InsightQuery(*SPANS["all"]))
    audits = [one for one in read_all(filled) if one.api == "audit" and one.time_ns < MIDNIGHT_NS]
    access = sorted((one.time_ns for one in audits if one.type in {"uva", "gva", "gm"}), reverse=True)
    assert [one.time_ns for one in report.access.events] == access[:25]
    assert {json.loads(one.body)["object_type"] for one in report.security.events} & {"sa", "satoken"}
    assert [one.time_ns for one in report.security.events] == sorted(
        (one.time_ns for one in report.security.events), reverse=True
    )


def test_a_search_that_took_too_long_is_reported(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build_report(filled, InsightQuery(*SPANS["all"]))
    assert not whole.access.is_cut
    assert not whole.security.is_cut
    hurried = partial(results.search, seconds=0)
    monkeypatch.setattr(report, "search", hurried)
    assert build_report(filled, InsightQuery(*SPANS["all"])).access.is_cut


def test_a_list_is_cut_to_its_largest_entries(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    full = build_report(filled, InsightQuery(*SPANS["all"])).item_usages.items
    monkeypatch.setattr(texts, "TOP", 3)
    monkeypatch.setattr(texts.Texts.figures, "__defaults__", (3,))
    cut = build_report(filled, InsightQuery(*SPANS["all"])).item_usages.items
    assert list(cut) == list(full)[:3]
    assert all(isinstance(one, Figure) for one in cut)
