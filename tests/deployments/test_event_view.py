"""The parts of an event that people look for, and the filters on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.store.source_status import StoredEvent
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
