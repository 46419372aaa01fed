"""Events for the tests of formats: the sandbox's, and made-up ones with the members that a test names."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from blocks.events_api.models import Api
from blocks.siem.formats import registry
from blocks.siem.formats.event import OutgoingEvent, StreamMetadata
from deployments.sandbox import sample_events
from deployments.sandbox.vocabulary import AUDITS, ITEM_ACTIONS, SIGN_INS

TIME_NS = 1_772_600_767_089_123_456
TIME = "2026-03-04T05:06:07.089123456Z"
RECEIVED_NS = 1_772_600_770_000_000_001
RECEIVED = "2026-03-04T05:06:10.000000001Z"
UUID = "AAAABBBBCCCCDDDDEEEEFFFF22"
# The sandbox goes through the documented values with every third event.
ALL = {Api.SIGN_IN: 3 * len(SIGN_INS), Api.ITEM_USAGE: 3 * len(ITEM_ACTIONS), Api.AUDIT: 3 * len(AUDITS)}


def stream(api: Api, **members: Any) -> StreamMetadata:
    given = {"source": "1Pass", "category": "sec/1password", "fields": {"team": "blue"}, "account": "SOURCEACCOUNT"}
    return StreamMetadata(api, **(given | members))


def event(body: str) -> OutgoingEvent:
    return OutgoingEvent(1, UUID, TIME_NS, RECEIVED_NS, body)


@cache
def made(api: Api, number: int, version: str) -> OutgoingEvent:
    """An event of the sandbox, as v1 or as v2 has it."""
    random = sample_events.random_for(7, api.path, number)
    body = sample_events.make_body(7, api.path, number, random, sample_events.event_time(TIME_NS, 9))
    text = getattr(body, version).decode()
    return OutgoingEvent(number, json.loads(text)["uuid"], TIME_NS, RECEIVED_NS, text)


def formatted(format_name: str, api: Api, members: dict[str, Any], **stream_members: Any) -> dict[str, Any]:
    """The document of an event with these members."""
    document = registry.format_event(format_name, event(json.dumps(members)), stream(api, **stream_members)).document
    return json.loads(document)
