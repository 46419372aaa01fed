"""One line of JSON with an event, its facts and its metadata."""

from __future__ import annotations

import json

import pytest
from support.formats import RECEIVED, TIME, UUID, event, stream

from blocks.events_api.models import Api
from blocks.siem.formats import registry
from blocks.siem.formats.raw import envelope

BODY = '{"uuid":"x",  "action":"join", "n":1.50e+3, "é":"\\u0026\\ud800", "n":2}'


def test_the_envelope_of_raw() -> None:
    line = envelope(registry.format_event("raw", event(BODY), stream(Api.AUDIT)))
    found = json.loads(line)
    assert found.pop("event") == json.loads(BODY)
    assert found == {
        "_siemForward": True,
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        "_siemEventID": "audit-join",
        "_source": "1Pass",
        "_sourceCategory": "sec/1password",
        "team": "blue",
        "uuid": UUID,
        "api": "audit",
        "time": TIME,
        "received": RECEIVED,
        "account": "SOURCEACCOUNT",
    }


def test_the_body_is_there_byte_for_byte() -> None:
    assert b',"event":' + BODY.encode() + b"}" in envelope(registry.format_event("raw", event(BODY), stream(Api.AUDIT)))


def test_it_is_one_line() -> None:
    body = '{\r\n  "action":\n "a\\nb"\r}'
    line = envelope(registry.format_event("raw", event(body), stream(Api.AUDIT, source="two\nlines")))
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line)["event"] == {"action": "a\nb"}


def test_a_field_does_not_stand_in_for_a_fact() -> None:
    fields = dict.fromkeys(("uuid", "api", "time", "received", "account", "event"), "mine") | {"team": "blue"}
    line = envelope(registry.format_event("raw", event(BODY), stream(Api.AUDIT, fields=fields, account=None)))
    assert b"mine" not in line
    assert json.loads(line)["team"] == "blue"


def test_metadata_that_is_no_legal_text_is_escaped() -> None:
    line = envelope(registry.format_event("raw", event(BODY), stream(Api.AUDIT, source='a"\ud800é')))
    assert json.loads(line)["_source"] == 'a"\ud800é'


@pytest.mark.parametrize("format_name", ["ecs", "ocsf"])
def test_the_other_formats_are_their_own_envelope(format_name: str) -> None:
    one = registry.format_event(format_name, event(BODY), stream(Api.AUDIT))
    assert envelope(one) is one.document
