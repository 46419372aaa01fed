"""What every OCSF event of 1Password holds, whatever its class."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from blocks.siem import metadata
from blocks.siem.json_text import encoded
from blocks.siem.moment import rfc3339
from blocks.siem.ocsf.activity import OTHER, Activity
from blocks.siem.parts import without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.siem.draft import Draft

OCSF_VERSION = "1.5.0"
_MS = 1_000_000
_PROFILES = ["host"]  # brings `device`
_PRODUCT = {"name": "1Password", "vendor_name": "1Password"}


def event(
    draft: Draft, activity: Activity, word: str | None, parts: Mapping[str, Any], mapped: frozenset[str]
) -> bytes:
    """The OCSF document. `word` is 1Password's own for the activity.

    `mapped` are the members of the body that stand in `parts`; all others are `unmapped`. `raw_data` is the body as
    text, byte for byte. Times are milliseconds since 1970, as OCSF has them; all digits are in
    `metadata.original_time` and in the tag `received`.
    """
    made: dict[str, Any] = {
        **activity.members,
        "time": draft.event.time_ns // _MS,
        "metadata": _metadata(draft),
        **without_none(parts),
        "raw_data": draft.body.decode(errors="replace"),
    }
    if activity.id == OTHER and word:
        made["activity_name"] = word
    if unmapped := {name: value for name, value in draft.members.items() if name not in mapped and value is not None}:
        made["unmapped"] = unmapped
    return encoded(made)


def _metadata(draft: Draft) -> dict[str, Any]:
    told, event = draft.stamp, draft.event
    made = {
        "version": OCSF_VERSION,
        "profiles": _PROFILES,
        "product": _PRODUCT,
        "uid": event.uuid,
        "event_code": draft.event_id,
        "log_name": told.api.path,
        "log_provider": "1Password Events API",
        "original_time": rfc3339(event.time_ns),
        "logged_time": event.received_ns // _MS,
        "tags": [_received(event.received_ns), *_tags(metadata.group_of(told, draft.event_id))],
    }
    if draft.account is not None:
        made["tenant_uid"] = draft.account
    return made


def _received(ns: int) -> dict[str, str]:
    return {"name": "received", "value": rfc3339(ns)}


@lru_cache(maxsize=1024)
def _tags(group: metadata.Group) -> tuple[msgspec.Raw, ...]:
    """The metadata of a group, each as a tag, encoded once."""
    named = {"api": group.stamp.api.value, **group.ours, **group.fields}
    return tuple(msgspec.Raw(encoded({"name": name, "value": _tag(value)})) for name, value in named.items())


def _tag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
