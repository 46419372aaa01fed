"""The page Insight, as a person sees it: figures with links, names, hostile texts, and times that cannot be read."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.console_client import shown_text
from support.indexed_events import ANA, BO, DAY_NS, HOUR_NS, NOON_NS, CollectedEvents, index_all

from blocks.config.name_file import NamedObject
from blocks.events_api.models import Api
from blocks.store import names
from blocks.store.insight.counted_days import count_stale_days

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient
    from support.moving_clock import MovingClock

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e=1+1\"'&"


@pytest.fixture
def collected(store: Engine, moving: MovingClock) -> CollectedEvents:
    moving._now_ns = NOON_NS
    return CollectedEvents(store)


def links(page: str) -> list[dict[str, list[str]]]:
    """The searches that the page leads to."""
    found = re.findall(r'href="(/console/events\?[^"]*)"', page)
    return [parse_qs(urlsplit(html.unescape(link)).query) for link in found]


def link_of(page: str, **members: str) -> dict[str, list[str]]:
    return next(one for one in links(page) if all(one.get(name) == [value] for name, value in members.items()))


def test_an_empty_store_shows_no_figures_and_no_error(store: Engine, viewer: ConsoleClient) -> None:
    shown = shown_text(viewer.page("/insight"))
    assert "No sign-in attempts in this time." in shown
    assert "Every user of the last 120 days was seen" in shown


def test_numbers_lead_to_the_events_behind_them(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    collected.sign_in("s1", NOON_NS - HOUR_NS)
    collected.sign_in("s2", NOON_NS - HOUR_NS, category="mfa_failed", type="totp_bad")
    collected.item_usage("i1", NOON_NS - 2 * HOUR_NS)
    collected.audit("a1", NOON_NS - DAY_NS)
    index_all(collected.engine)
    page = viewer.page("/insight?last=7d")
    shown = shown_text(page)
    assert "did not pass two-factor authentication: wrong one-time password" in shown
    assert "revealed a secret of an item" in shown
    assert "gave a person access to a vault" in shown
    assert "New Zealand" in shown
    week = {"from": ["2023-11-08T12:00:00Z"], "to": ["2023-11-15T12:00:00Z"]}
    assert link_of(page, action="mfa_failed", type="totp_bad") == {
        **week,
        "api": ["sign-in"],
        "action": ["mfa_failed"],
        "type": ["totp_bad"],
    }
    assert link_of(page, api="sign-in", failed="yes", user="ANA").items() >= week.items()
    assert link_of(page, vault="vault1", api="itemUsage").items() >= week.items()
    assert link_of(page, country="NZ").items() >= week.items()
    assert link_of(page, event="4")["api"] == ["audit"]


def test_every_number_is_that_of_the_page_it_leads_to(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    for hour, category in enumerate(("success", "mfa_failed", "credentials_failed", "success")):
        user = {"target_user": BO} if hour % 2 else {"country": "France"}
        collected.sign_in(f"s{hour}", NOON_NS - hour * 9 * HOUR_NS - 1, category=category, **user)
        collected.item_usage(
            f"i{hour}", NOON_NS - hour * 9 * HOUR_NS - 1, action=("reveal", "fill")[hour % 2], country="FR"
        )
    collected.audit("a1", NOON_NS - HOUR_NS)
    collected.audit("a2", NOON_NS - 200 * HOUR_NS)
    index_all(collected.engine)
    for query in ("?last=7d", "?last=24h", f"?source={collected.source.id}"):
        found = re.findall(r'href="(/console/events\?[^"]*)"[^>]*>([\d,]+)<', viewer.page(f"/insight{query}"))
        assert len(found) > 20
        for link, number in found:
            path = html.unescape(link).removeprefix("/console")
            assert viewer.page(path).count('<tr id="event-') == int(number), path


def test_names_stand_in_place_of_ids(collected: CollectedEvents, store: Engine, viewer: ConsoleClient) -> None:
    collected.item_usage("i1", NOON_NS - HOUR_NS)
    collected.audit("a1", NOON_NS - HOUR_NS)
    index_all(store)
    assert "Payroll" not in viewer.page("/insight")
    names.save(store, [NamedObject("vault1", "vault", "Payroll"), NamedObject("item1", "item", "Bank")])
    shown = shown_text(viewer.page("/insight"))
    assert "Payroll vault1" in shown
    assert "Bank item1" in shown
    assert f"{ANA['name']} gave a person access to a vault Payroll {BO['name']}" in shown


def test_only_the_events_of_one_source_are_counted(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    collected.sign_in("s1", NOON_NS - HOUR_NS)
    index_all(collected.engine)
    page = viewer.page(f"/insight?source={collected.source.id}")
    assert link_of(page, api="sign-in")["source"] == [collected.source.id]


def test_what_is_new_and_who_is_gone(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    collected.sign_in("old", NOON_NS - 40 * DAY_NS, target_user=BO)
    collected.sign_in("new", NOON_NS - HOUR_NS, country="FR")
    index_all(collected.engine)
    assert "1 earlier days are not counted yet" in shown_text(viewer.page("/insight"))
    while count_stale_days(collected.engine, 10):
        pass
    shown = shown_text(viewer.page("/insight"))
    assert "France new" in shown
    assert f"{BO['name']} 2023-10-06" in shown
    assert "not counted yet" not in shown


def test_what_is_not_indexed_yet_is_reported(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    collected.sign_in("s1", NOON_NS - HOUR_NS)
    assert "1 event is not indexed yet" in shown_text(viewer.page("/insight"))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("from=2023-11-14&to=2023-11-15", "2023-11-14 00:00 to 2023-11-15 00:00 UTC."),
        ("from=2023-11-14", "2023-11-14 00:00 to 2023-11-15 12:00 UTC."),
        ("to=2023-11-14", "2023-11-07 00:00 to 2023-11-14 00:00 UTC."),
        ("last=24h", "2023-11-14 12:00 to 2023-11-15 12:00 UTC."),
        ("last=moon", "2023-11-08 12:00 to 2023-11-15 12:00 UTC."),
        ("from=moon", "'moon' is not a time"),
        ("from=2023-11-15&to=2023-11-14", "Choose a start before the end"),
        ("from=2020-01-01&to=2023-11-14", "at most 400 days apart"),
        ("from=%00%1b", "is not a time"),
        ("source=another", "2023-11-08 12:00 to 2023-11-15 12:00 UTC."),
    ],
)
def test_any_address_shows_a_span(collected: CollectedEvents, viewer: ConsoleClient, query: str, shown: str) -> None:
    page = viewer.page(f"/insight?{query}")
    assert shown in shown_text(page)
    assert "\x1b" not in page


def _hostile(members: dict[str, Any]) -> dict[str, Any]:
    return {name: _hostile(one) if isinstance(one, dict) else HOSTILE for name, one in members.items()}


def test_hostile_texts_in_every_member_are_harmless(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    person, client = (
        {"uuid": "", "name": "", "email": ""},
        dict.fromkeys(("app_name", "app_version", "os_name", "ip_address")),
    )
    for category in ("success", "mfa_failed", HOSTILE):
        attempt = _hostile(
            {"type": "", "country": "", "target_user": person, "client": client, "location": {"country": ""}}
        )
        collected.sign_in(f"s{category}"[:9], NOON_NS - HOUR_NS, **attempt, category=category)
    usage = _hostile({"vault_uuid": "", "item_uuid": "", "user": person, "client": client})
    for number, action in enumerate(("reveal", HOSTILE)):
        collected.item_usage(f"i{number}", NOON_NS - HOUR_NS, **usage, action=action)
    actor = _hostile(
        {"actor_uuid": "", "actor_details": person, "object_uuid": "", "aux_uuid": "", "aux_details": person}
    )
    for number, kind in enumerate(("uva", "gm", "sa", HOSTILE)):
        collected.audit(f"a{number}", NOON_NS - HOUR_NS, **actor, object_type=kind, aux_info=HOSTILE)
    collected.sign_in("gone", NOON_NS - 50 * DAY_NS, target_user=_hostile(person))
    names.save(collected.engine, [NamedObject(HOSTILE.replace("\x1b", "").replace("\u202e", ""), "item", HOSTILE)])
    index_all(collected.engine)
    while count_stale_days(collected.engine, 10):
        pass
    page = viewer.page("/insight")
    assert "alert(1)" in shown_text(page)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    for attribute in re.findall(r'(?:href|title|aria-label)="([^"]*)"', page):
        assert "<" not in attribute
        assert not attribute.lower().startswith(("javascript:", "data:", "//"))


def test_no_number_of_an_absent_member_is_a_link(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    collected.sign_in("s1", NOON_NS - HOUR_NS, category="mfa_failed", type="totp_bad", target_user={})
    index_all(collected.engine)
    page = viewer.page("/insight")
    assert "none" in shown_text(page)
    assert not [one for one in links(page) if one.get("action") == ["mfa_failed"] and not {"type", "user"} & one.keys()]


def test_a_list_of_events_is_of_all_three_apis(collected: CollectedEvents, viewer: ConsoleClient) -> None:
    page = viewer.page("/insight")
    assert {one["api"][0] for one in links(page) if "api" in one} >= {api.value for api in Api}
