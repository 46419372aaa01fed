"""The metadata sent with an event, and the field by which a SIEM knows the event's type."""

from __future__ import annotations

import json

import pytest
from msgspec import structs
from support.formats import RECEIVED, TIME, UUID, event, stream

from blocks.events_api.models import Api
from blocks.siem.formats import metadata, registry
from blocks.siem.formats.event import FormattedEvent, StreamMetadata


def formatted(of: StreamMetadata, body: dict[str, object] | None = None) -> FormattedEvent:
    return registry.format_event("raw", event(json.dumps(body or {})), of)


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        (Api.SIGN_IN, {"category": "success"}, "signin-success"),
        (Api.SIGN_IN, {"category": "firewall_reported_success", "action": "fill"}, "signin-firewall_reported_success"),
        (Api.ITEM_USAGE, {"action": "secure-copy", "category": "success"}, "item_usage-secure-copy"),
        (Api.AUDIT, {"action": "join"}, "audit-join"),
        (Api.AUDIT, {"action": "unknown"}, "audit-unknown"),
        (Api.AUDIT, {"action": "service-account.token.create"}, "audit-service-account.token.create"),
        (Api.SIGN_IN, {}, "signin-none"),
        (Api.ITEM_USAGE, {}, "item_usage-none"),
        (Api.AUDIT, {"action": None}, "audit-none"),
        (Api.AUDIT, {"action": ""}, "audit-none"),
        (Api.AUDIT, {"action": 7}, "audit-none"),
        (Api.AUDIT, {"action": ["join"]}, "audit-none"),
    ],
)
def test_event_id(api: Api, body: dict[str, object], expected: str) -> None:
    assert metadata.event_id(api, body.get("category" if api is Api.SIGN_IN else "action")) == expected
    assert formatted(stream(api), body).event_id == expected


def test_an_event_id_can_stand_in_a_header() -> None:
    assert metadata.event_id(Api.AUDIT, "a\r\nX-Evil: 1 é") == "audit-a__X-Evil:_1__"
    assert metadata.event_id(Api.AUDIT, "a" * 5000) == "audit-" + "a" * 100


def test_metadata_of_an_event_for_a_siem() -> None:
    assert metadata.event_metadata(formatted(stream(Api.AUDIT), {"action": "join"})) == {
        "_siemForward": True,
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        "_siemEventID": "audit-join",
        "_source": "1Pass",
        "_sourceCategory": "sec/1password",
        "team": "blue",
    }


def test_with_the_parser_there_is_no_event_id() -> None:
    found = metadata.event_metadata(formatted(stream(Api.AUDIT, classifier="parser"), {"action": "join"}))
    assert found["_siemParser"] == "/Parsers/System/1Password/1Password"
    assert "_siemEventID" not in found


CONTRADICTING = {
    "_siemForward": False,
    "_siemVendor": "Other",
    "_SIEMPRODUCT": "Other",
    "_siemEventID": "mine",
    "_siemParser": "/mine",
    "_parser": "/mine",
    "_source": "mine",
    "_sourcecategory": "mine",
    "team": "blue",
}


@pytest.mark.parametrize("classifier", ["event-id", "parser"])
def test_fields_never_contradict(classifier: str) -> None:
    plain = metadata.event_metadata(formatted(stream(Api.AUDIT, classifier=classifier)))
    assert metadata.event_metadata(formatted(stream(Api.AUDIT, classifier=classifier, fields=CONTRADICTING))) == plain


def test_other_fields_for_a_siem_are_kept() -> None:
    fields = {"_siemDataType": "Inventory"}
    assert metadata.event_metadata(formatted(stream(Api.AUDIT, fields=fields)))["_siemDataType"] == "Inventory"


def test_events_without_siem_forward_have_no_siem_members() -> None:
    fields = {**CONTRADICTING, "_siemDataType": "Inventory", "floor": 3}
    found = metadata.event_metadata(formatted(stream(Api.AUDIT, classifier=None, fields=fields)))
    assert found == {"_source": "1Pass", "_sourceCategory": "sec/1password", "team": "blue", "floor": 3}


def test_without_a_category_there_is_none() -> None:
    assert "_sourceCategory" not in metadata.event_metadata(formatted(stream(Api.AUDIT, category=None)))


def test_metadata_is_not_shared() -> None:
    one = formatted(stream(Api.AUDIT))
    metadata.event_metadata(one)["team"] = "red"
    assert metadata.event_metadata(one)["team"] == "blue"


def test_many_groups_do_not_mix() -> None:
    for number in range(3000):
        one = formatted(stream(Api.AUDIT, source=f"source {number}"), {"action": f"action-{number}"})
        found = metadata.event_metadata(one)
        assert metadata.metadata_group(one.stream, one.event_id) is metadata.metadata_group(one.stream, one.event_id)
        assert (found["_source"], found["_siemEventID"]) == (f"source {number}", f"audit-action-{number}")
    assert metadata.metadata_group.cache_info().currsize <= metadata.CACHE_SIZE


def test_facts() -> None:
    assert metadata.event_facts(formatted(stream(Api.ITEM_USAGE), {"account_uuid": "ITSOWN"})) == {
        "uuid": UUID,
        "api": "itemUsage",
        "time": TIME,
        "received": RECEIVED,
        "account": "ITSOWN",
    }


@pytest.mark.parametrize("account", [None, "", 7, {"uuid": "A"}, "A\r\nB", "A" * 201])
def test_an_account_that_is_none_leaves_that_of_the_source(account: object) -> None:
    assert metadata.event_facts(formatted(stream(Api.AUDIT), {"account_uuid": account}))["account"] == "SOURCEACCOUNT"


def test_an_unknown_account_is_no_fact() -> None:
    assert "account" not in metadata.event_facts(formatted(stream(Api.AUDIT, account=None)))


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(2**63) + 1, "1677-09-21T00:12:43.145224193Z"),
    ],
)
def test_times_have_nine_digits(ns: int, expected: str) -> None:
    one = formatted(stream(Api.AUDIT))
    moved = FormattedEvent(
        structs.replace(one.event, time_ns=ns, received_ns=ns), one.stream, "raw", b"{}", one.event_id, None
    )
    assert metadata.event_facts(moved)["time"] == metadata.event_facts(moved)["received"] == expected
