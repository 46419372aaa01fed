"""An item usage in OCSF: Entity Management of the item."""

from __future__ import annotations

import pytest
from support.formats import UUID, formatted
from support.ocsf_documents import ANA, ANA_OF_OCSF, CLIENT, PLACE, problems

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import ITEM_ACTIONS
from blocks.siem.formats.ocsf import item_usage


def test_every_action_of_an_item_usage_is_decided() -> None:
    assert set(item_usage.ACTIVITIES) == set(ITEM_ACTIONS)


@pytest.mark.parametrize(
    ("action", "type_uid", "name"),
    [
        ("fill", 300402, "Read"),
        ("server-create", 300401, "Create"),
        ("server-update", 300403, "Update"),
        ("share", 300499, "share"),
        ("other", 300499, "other"),
        ("teleport", 300499, "teleport"),
        (None, 300400, "Unknown"),
    ],
)
def test_what_an_item_usage_is(action: object, type_uid: int, name: str) -> None:
    found = formatted("ocsf", Api.ITEM_USAGE, ITEM | {"action": action})
    assert (found["type_uid"], found["activity_name"]) == (type_uid, name)
    assert not [*problems(found)]


ITEM = {
    "uuid": UUID,
    "used_version": 3,
    "vault_uuid": "vault",
    "item_uuid": "item",
    "action": "reveal",
    "user": ANA,
    "client": CLIENT,
}


def test_an_item_usage() -> None:
    found = formatted("ocsf", Api.ITEM_USAGE, ITEM)
    assert found["entity"] == {
        "uid": "item",
        "type_id": 99,
        "type": "Item",
        "version": "3",
        "data": {"vault_uuid": "vault"},
    }
    assert found["actor"] == {"user": ANA_OF_OCSF, "app_name": "1Password for Mac"}
    assert found["src_endpoint"] == {"ip": "2001:db8::7"}
    assert found["metadata"]["tenant_uid"] == "SOURCEACCOUNT"


def own(members: dict[str, object]) -> dict[str, object]:
    """The parts of the document that depend on the members."""
    found = formatted("ocsf", Api.ITEM_USAGE, members)
    names = ("entity", "actor", "src_endpoint", "device", "unmapped")
    return {name: found[name] for name in names if name in found}


def test_an_item_usage_without_members_has_an_unknown_item_and_nothing_else() -> None:
    unknown = {"type_id": 99, "type": "Item", "name": "Unknown"}
    assert own({}) == own({"item_uuid": "", "vault_uuid": ""}) == {"entity": unknown}


def test_each_member_has_its_place() -> None:
    assert own({"client": {"app_name": "CLI"}})["actor"] == {"app_name": "CLI"}
    assert own({"user": ANA})["actor"] == {"user": ANA_OF_OCSF}
    assert own({"item_uuid": "i", "item_name": "Router"})["entity"] == {
        "uid": "i",
        "name": "Router",
        "type_id": 99,
        "type": "Item",
    }
    assert own({"item_uuid": "i", "used_version": 0})["entity"] == {
        "uid": "i",
        "type_id": 99,
        "type": "Item",
        "version": "0",
    }
    placed = own({"client": {"ip_address": "192.0.2.9"}, "location": PLACE})
    assert "unmapped" not in placed
    assert own({"location": PLACE})["unmapped"] == {"location": PLACE}
