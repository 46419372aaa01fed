"""An item usage in OCSF: Entity Management of the item."""

from __future__ import annotations

import pytest
from support.formats import UUID, formatted
from support.ocsf_documents import ANA, ANA_OF_OCSF, CLIENT, problems

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
