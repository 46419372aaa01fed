"""The metadata that is sent with each event, and the event id that names an event's type.

The `_siem…` members are those of Sumo Logic's hosted 1Password source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.siem.formats.field_values import received_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from blocks.siem.formats.event import FieldValue, FormattedEvent, StreamMetadata

PARSER = "/Parsers/System/1Password/1Password"
"""The path of the parser for 1Password in Sumo Logic's catalogue."""
ABSENT = "none"
"""Stands for a missing action or category: `item_usage-none`. 1Password uses `unknown` and `other` as real values."""
ACTION_MAX = 100  # characters of an action; 1Password's own have at most 26
CACHE_SIZE = 1024  # pairs of stream and event id; a source has at most a few hundred

_API_NAMES = {api: api.value for api in Api}  # a dict is faster than the attribute `value` of an enumeration: 1 µs
_PREFIXES = {Api.SIGN_IN: "signin", Api.ITEM_USAGE: "item_usage", Api.AUDIT: "audit"}
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/-]")
_CLASSIFIERS = frozenset({"_siemeventid", "_siemparser", "_parser"})


def event_id(api: Api, value: object) -> str:
    """Return the id of an event's type: `signin-{category}`, `item_usage-{action}` or `audit-{action}`.

    `value` is the category or action of the event. If it is absent or not a text, `none` stands for it. Characters that
    a header cannot hold become `_`.
    """
    return _event_id(api, value) if isinstance(value, str) and value else f"{_PREFIXES[api]}-{ABSENT}"


@lru_cache(maxsize=CACHE_SIZE)
def _event_id(api: Api, value: str) -> str:
    return f"{_PREFIXES[api]}-{_UNSAFE.sub('_', value[:ACTION_MAX])}"


@dataclass(frozen=True, eq=False, slots=True)
class MetadataGroup:
    """The metadata of all events with one stream and one event id.

    `standard` are `_siem…` (if forwarding to SIEMs is enabled), `_source`, and `_sourceCategory` if the source has one.
    `fields` are the source's fields, without those that would contradict the standard members.
    """

    stream: StreamMetadata
    event_id: str
    standard: Mapping[str, FieldValue]
    fields: Mapping[str, FieldValue]


def event_metadata(formatted: FormattedEvent) -> dict[str, FieldValue]:
    """Return the metadata of an event: the standard members, then the source's fields that do not contradict them."""
    group = metadata_group(formatted.stream, formatted.event_id)
    return {**group.standard, **group.fields}


def event_facts(formatted: FormattedEvent) -> dict[str, str]:
    """Return what the store knows of an event beside its body. Times are RFC 3339 with nine digits."""
    event = formatted.event
    facts = {
        "uuid": event.uuid,
        "api": _API_NAMES[formatted.stream.api],
        "time": rfc3339(event.time_ns),
        "received": received_rfc3339(event.received_ns),
    }
    if formatted.account is not None:
        facts["account"] = formatted.account
    return facts


@lru_cache(maxsize=CACHE_SIZE)
def metadata_group(stream: StreamMetadata, event_id: str) -> MetadataGroup:
    """Return the group of a stream and an event id: the same object each time, so that encoders can cache by it."""
    standard: dict[str, FieldValue] = {**_siem_members(stream, event_id), "_source": stream.source}
    if stream.category:
        standard["_sourceCategory"] = stream.category
    names = {name.lower() for name in standard}
    return MetadataGroup(stream, event_id, standard, dict(_consistent_fields(stream, names)))


def _siem_members(stream: StreamMetadata, event_id: str) -> dict[str, FieldValue]:
    if stream.classifier is None:
        return {}
    by_parser = stream.classifier == "parser"
    return {
        "_siemForward": True,
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        **({"_siemParser": PARSER} if by_parser else {"_siemEventID": event_id}),
    }


def _consistent_fields(stream: StreamMetadata, standard: set[str]) -> Iterator[tuple[str, FieldValue]]:
    for name, value in stream.fields.items():
        lower = name.lower()
        contradicts = lower in standard or lower in _CLASSIFIERS
        is_disabled = lower.startswith("_siem") and stream.classifier is None
        if not contradicts and not is_disabled:
            yield name, value
