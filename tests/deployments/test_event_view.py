"""The parts of an event that people look for, and the filters on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.store.source_status import StoredEvent
from deployments.commands.support.event_filters import EventFilters
from deployments.event_view import EventView

SIGN_IN = {
    "category": "credentials_failed",
    "type": "password_secret_bad",
    "target_user": {"email": "Rosa@example.com", "name": "Rosa [IT]", "uuid": "U1"},
    "client": {"ip_address": "10.1.2.3"},
    "location": {"country": "DE"},
}
ITEM_USAGE = {"action": "fill", "user": {"name": "Kenji"}, "item_uuid": "I1", "vault_uuid": "V1", "client": {}}
AUDIT = {"action": "join", "object_type": "vault", "object_uuid": "V2", "actor_uuid": "U2", "session": {"ip": "::1"}}


def stored(api: str, body: Any) -> StoredEvent:
    return StoredEvent(0, 1, api, "uuid", 0, body if isinstance(body, str) else json.dumps(body))


def view(api: str, body: Any) -> EventView:
    return EventView.from_event(stored(api, body))


def test_a_sign_in_attempt() -> None:
    found = view("sign-in", SIGN_IN)
    assert (found.action, found.type, found.actor) == ("credentials_failed", "password_secret_bad", "Rosa@example.com")
    assert found.actor_names == ("Rosa@example.com", "Rosa [IT]", "U1")
    assert (found.ip_address, found.country, found.item, found.vault) == ("10.1.2.3", "DE", None, None)


def test_an_item_usage() -> None:
    found = view("itemUsage", ITEM_USAGE)
    assert (found.action, found.actor, found.item, found.vault) == ("fill", "Kenji", "I1", "V1")
    assert found.ip_address is None


def test_an_audit_event_is_about_its_object() -> None:
    found = view("audit", AUDIT)
    assert (found.action, found.type, found.actor, found.ip_address) == ("join", "vault", "U2", "::1")
    assert (found.item, found.vault) == (None, "V2")


@pytest.mark.parametrize("body", ["[]", "null", '{"target_user": 3, "client": "x"}', '{"category": "\\ud800"}'])
def test_any_body_has_a_view(body: str) -> None:
    found = view("sign-in", body)
    assert (found.actor, found.ip_address) == (None, None)
    assert found.action in {None, "?"}


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (EventFilters(user="rosa@*"), True),
        (EventFilters(user="rosa [it]"), True),  # brackets are not a pattern
        (EventFilters(user="rosa i"), False),
        (EventFilters(ip="10.0.0.0/8"), True),
        (EventFilters(ip="10.1.2.3"), True),
        (EventFilters(ip="2001:db8::/32"), False),
        (EventFilters(action="PASSWORD_SECRET_BAD", country="de"), True),
        (EventFilters(country="FR"), False),
        (EventFilters(item="I1"), False),
        (EventFilters(match="rosa@EXAMPLE"), True),
        (EventFilters(match="kenji"), False),
    ],
)
def test_an_event_passes_if_it_has_each_part(filters: EventFilters, *, passes: bool) -> None:
    event = stored("sign-in", SIGN_IN)
    assert list(filters.apply([event])) == ([event] if passes else [])


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (EventFilters(vault="v1"), True),
        (EventFilters(vault="payroll"), False),
        (EventFilters(vault="payroll", names={"V1": "Payroll"}), True),
        (EventFilters(vault="pay*", item="bank", names={"V1": "Payroll", "I1": "Bank"}), True),
        (EventFilters(vault="bank", names={"V1": "Payroll", "I1": "Bank"}), False),
    ],
)
def test_a_vault_and_an_item_are_found_by_their_imported_names(filters: EventFilters, *, passes: bool) -> None:
    event = stored("itemUsage", ITEM_USAGE)
    assert list(filters.apply([event])) == ([event] if passes else [])


def test_a_text_matches_escaped_characters() -> None:
    event = stored("sign-in", '{"name": "J\\u00fcrgen \\/ x"}')
    assert list(EventFilters(match="jürgen / x").apply([event])) == [event]


def test_an_address_that_is_none_is_an_error() -> None:
    with pytest.raises(ThirdPartyConfigError, match="--ip takes an address or a network, not 'home'"):
        EventFilters(ip="home").check()
