"""What goes with an event to each SIEM, and by which word a SIEM tells what an event is.

The `_siem…` members are those of Sumo Logic's hosted 1Password source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.siem.formats.timestamp import received_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from blocks.siem.formats.event import FieldValue, FormattedEvent, StreamMetadata

PARSER = "/Parsers/System/1Password/1Password"
"""Where Sumo Logic's catalogue keeps its parser for 1Password."""
ABSENT = "none"
"""Stands for an action or category that an event does not have: `item_usage-none`. `unknown` and `other` are real."""
WORD_MAX = 100  # characters of an action; 1Password's own have 26 at most

_NAMES = {api: api.value for api in Api}  # an enumeration's own way to its value takes a microsecond
_PREFIXES = {Api.SIGN_IN: "signin", Api.ITEM_USAGE: "item_usage", Api.AUDIT: "audit"}
_NO_WORD = re.compile(r"[^A-Za-z0-9_.:/-]")
_TELLS_WHAT = frozenset({"_siemeventid", "_siemparser", "_parser"})
_REMEMBERED = 1024  # groups of (stream, event id); a source has a few hundred at most


def event_id(api: Api, body: Mapping[str, object]) -> str:
    """`signin-{category}`, `item_usage-{action}` or `audit-{action}`, such as `audit-join`.

    An absent value, or one that is no text, is `none`. Whatever could not stand in a header becomes `_`.
    """
    return event_id_of(api, body.get("category" if api is Api.SIGN_IN else "action"))


def event_id_of(api: Api, value: object) -> str:
    """The same, of the event's category or action."""
    return _id_of(api, value) if isinstance(value, str) and value else f"{_PREFIXES[api]}-{ABSENT}"


@lru_cache(maxsize=_REMEMBERED)
def _id_of(api: Api, value: str) -> str:
    return f"{_PREFIXES[api]}-{_NO_WORD.sub('_', value[:WORD_MAX])}"


@dataclass(frozen=True, eq=False, slots=True)
class MetadataGroup:
    """The metadata of all events of one stream and one event id. The same group is the same object."""

    stream: StreamMetadata
    event_id: str
    standard: Mapping[str, FieldValue]
    """`_siem…` where the events are meant for a SIEM, `_source`, and `_sourceCategory` where there is one."""
    fields: Mapping[str, FieldValue]
    """The source's fields, without those that would contradict."""


def event_metadata(shaped: FormattedEvent) -> dict[str, FieldValue]:
    """The metadata of an event: `_siem…` where it is meant for a SIEM, `_source`, `_sourceCategory`, the fields.

    A field never contradicts what stands there already: it is left out.
    """
    group = metadata_group(shaped.stream, shaped.event_id)
    return {**group.standard, **group.fields}


def event_facts(shaped: FormattedEvent) -> dict[str, str]:
    """What is known of an event beside its body. Times are RFC 3339 with nine digits."""
    event = shaped.event
    known = {
        "uuid": event.uuid,
        "api": _NAMES[shaped.stream.api],
        "time": rfc3339(event.time_ns),
        "received": received_rfc3339(event.received_ns),
    }
    if shaped.account is not None:
        known["account"] = shaped.account
    return known


_groups: dict[tuple[int, str], MetadataGroup] = {}


def metadata_group(stream: StreamMetadata, event_id: str) -> MetadataGroup:
    """Made once, and found again by the very stream and the event id."""
    found = _groups.get((id(stream), event_id))
    if found is None:
        if len(_groups) >= _REMEMBERED:
            _groups.clear()
        # The group keeps the stream, so that its address is no other stream's meanwhile.
        found = _groups[id(stream), event_id] = _made(stream, event_id)
    return found


def _made(stream: StreamMetadata, event_id: str) -> MetadataGroup:
    ours: dict[str, FieldValue] = {**_for_siem(stream, event_id), "_source": stream.source}
    if stream.category:
        ours["_sourceCategory"] = stream.category
    return MetadataGroup(stream, event_id, ours, dict(_of_user(stream, {name.lower() for name in ours})))


def _for_siem(stream: StreamMetadata, event_id: str) -> dict[str, FieldValue]:
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


def _of_user(stream: StreamMetadata, taken: set[str]) -> Iterator[tuple[str, FieldValue]]:
    for name, value in stream.fields.items():
        lower = name.lower()
        of_siem = lower.startswith("_siem") and stream.classifier is None
        if lower not in taken and lower not in _TELLS_WHAT and not of_siem:
            yield name, value
