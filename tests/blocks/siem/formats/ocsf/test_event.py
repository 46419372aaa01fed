"""Every document in OCSF is valid by the published schema, and has what all events have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.formats import ALL, RECEIVED, RECEIVED_NS, TIME, TIME_NS, UUID, event, formatted, made, stream
from support.ocsf_documents import AUDIT, PLACE, problems

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem.formats import registry

LATER = "1.8.0"  # the newest that the schema package has


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_every_event_of_the_sandbox_is_valid(api: Api, version: str) -> None:
    for number in range(ALL[api]):
        found = json.loads(registry.format_event("ocsf", made(api, number, version), stream(api)).document)
        assert not [*problems(found)], (number, found)
        assert not [*problems(found, LATER)], (number, found)


def test_the_schema_rejects_an_invalid_document() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    assert [*problems(found | {"surprise": 1})]
    assert [*problems(found | {"activity_id": 42})]
    assert [*problems({name: value for name, value in found.items() if name != "user"} | {"class_uid": 3001})]


@pytest.mark.parametrize("api", Api)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_event_is_valid(api: Api, data: st.DataObject) -> None:
    """Members of any type, and texts that are no address, no e-mail address, no time."""
    value = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=1)
    names = ("uuid", "name", "email", "ip", "ip_address", "os_name", "login_time", "country", "latitude", "longitude")
    part = st.dictionaries(st.sampled_from((*names, "platform_name", "user_type")), value, max_size=5)
    word = st.sampled_from(["join", "create", "grant", "user", "gm", "gva", "uva", "vault", "success", "fill"])
    drawn = st.dictionaries(st.sampled_from(sorted(EVENTS[api.path])), value | part | word, max_size=12)
    found = formatted("ocsf", api, data.draw(drawn), account=data.draw(st.none() | st.just("ACCOUNT")))
    assert not [*problems(found)]


def test_what_every_event_holds() -> None:
    found = formatted("ocsf", Api.AUDIT, AUDIT)
    tags = found["metadata"].pop("tags")
    assert found["time"] == TIME_NS // 1_000_000
    assert found["category_uid"] == 3
    assert found["severity_id"] == 1
    assert json.loads(found["raw_data"]) == AUDIT
    assert found["metadata"] == {
        "version": "1.5.0",
        "profiles": ["host"],
        "product": {"name": "1Password", "vendor_name": "1Password"},
        "uid": UUID,
        "event_code": "audit-join",
        "log_name": "auditevents",
        "log_provider": "1Password Events API",
        "original_time": TIME,
        "logged_time": RECEIVED_NS // 1_000_000,
        "tenant_uid": "ACCOUNT",
    }
    assert {tag["name"]: tag["value"] for tag in tags} == {
        "received": RECEIVED,
        "api": "audit",
        "_siemForward": "true",
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        "_siemEventID": "audit-join",
        "_source": "1Pass",
        "_sourceCategory": "sec/1password",
        "team": "blue",
    }


def test_a_place_without_an_address_is_unmapped() -> None:
    assert formatted("ocsf", Api.SIGN_IN, {"location": PLACE})["unmapped"] == {"location": PLACE}


def test_what_is_not_documented_is_in_the_raw_data_only() -> None:
    found = formatted("ocsf", Api.AUDIT, {"risk": {"score": 7}})
    assert "unmapped" not in found
    assert json.loads(found["raw_data"]) == {"risk": {"score": 7}}


def test_raw_data_is_the_body() -> None:
    body = '{"action": "join",\n "n": 1.50}'
    found = json.loads(registry.format_event("ocsf", event(body), stream(Api.AUDIT)).document)
    assert found["raw_data"] == body


@pytest.mark.parametrize("api", Api)
def test_a_place_alone_is_kept(api: Api) -> None:
    found = formatted("ocsf", api, {"location": PLACE})
    assert found["unmapped"]["location"] == PLACE
    assert not [*problems(found)]
