"""Which events the filters of `events` let through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.store.source_status import StoredEvent
from deployments.commands.support.event_filters import EventFilters

SIGN_IN = {
    "category": "credentials_failed",
    "type": "password_secret_bad",
    "target_user": {"email": "Rosa@example.com", "name": "Rosa [IT]", "uuid": "U1"},
    "client": {"ip_address": "10.1.2.3"},
    "location": {"country": "DE"},
}
ITEM_USAGE = {"action": "fill", "user": {"name": "Kenji"}, "item_uuid": "I1", "vault_uuid": "V1", "client": {}}


def stored(api: str, body: Any) -> StoredEvent:
    return StoredEvent(0, 1, api, "uuid", 0, body if isinstance(body, str) else json.dumps(body))


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
