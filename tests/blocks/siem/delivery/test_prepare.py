"""From a stored event to a record: rules first, then the format, then the SIEM's own form; never a problem."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from support import siems as support
from support.forwarding import FakeSender

from blocks.events_api.models import Api
from blocks.siem.delivery.prepare import FilteredEvent, Preparer
from blocks.siem.delivery.protocol import EncodedRecord
from blocks.siem.formats.event import OutgoingEvent
from blocks.siem.privacy.rules import NONE, parse

RULES = parse([{"drop": {"action": ["fill"]}}, {"mask": ["user.email", "@emails"]}], "")


def prepared(
    event: OutgoingEvent, rules: object = NONE, format_name: str = "raw", api: Api = Api.ITEM_USAGE
) -> EncodedRecord | FilteredEvent:
    return Preparer(FakeSender(), rules, format_name, support.stream(api)).prepare(event)  # type: ignore[arg-type]


def test_without_rules_the_body_stays_byte_for_byte() -> None:
    event = support.event(Api.ITEM_USAGE, action="reveal")
    event = structs.replace(event, body=event.body.replace(":", ": ") + " ")
    record = prepared(event)
    assert isinstance(record, EncodedRecord)
    assert (record.event, record.data) == (event, event.body.encode())


def test_what_a_rule_drops_is_kept_back_with_the_reason() -> None:
    event = support.event(Api.ITEM_USAGE, action="fill")
    kept = prepared(event, RULES)
    assert isinstance(kept, FilteredEvent)
    assert (kept.event, "Rule 1" in kept.reason) == (event, True)


@pytest.mark.parametrize("format_name", support.FORMATS)
def test_rules_come_before_the_format_so_nothing_that_they_hide_is_in_it(format_name: str) -> None:
    event = support.event(Api.ITEM_USAGE, action="reveal", user={"uuid": "U", "email": "wendy@example.com"})
    for rules, there in ((NONE, True), (RULES, False)):
        record = prepared(event, rules, format_name)
        assert isinstance(record, EncodedRecord)
        assert (b"wendy@example.com" in record.data) is there


@pytest.mark.parametrize("format_name", support.FORMATS)
@pytest.mark.parametrize("api", list(Api))
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    )
)
def test_whatever_a_stored_event_holds_there_is_a_record_or_a_reason(format_name: str, api: Api, body: object) -> None:
    event = OutgoingEvent(1, "A" * 26, support.START_NS, support.RECEIVED_NS, json.dumps(body))
    for rules in (NONE, RULES):
        made = prepared(event, rules, format_name, api)
        assert made.event is event
        assert isinstance(made, FilteredEvent) or b"\n" not in made.data
