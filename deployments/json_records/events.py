"""Records of events and of what names them: `events`, `actions`, `fields`, `names`."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from deployments.json_records.values import ApiName, Change, Count, Time


class EventRecord(TypedDict):
    """One stored event. `body` is the event as 1Password sent it."""

    source: str
    source_id: str
    api: ApiName
    uuid: str
    time: Time
    received: Time
    action: str | None
    type: str | None
    actor: str | None
    ip_address: str | None
    country: str | None
    body: dict[str, Any]


class ActionRecord(TypedDict):
    """What a code means."""

    api: ApiName
    action: str
    type: str | None
    words: str
    certain: bool


class FieldRecord(TypedDict):
    """A field that sources may give their events."""

    field: str
    enabled: bool
    built_in: bool


class ChangedFieldRecord(TypedDict):
    """A field that was added, enabled or disabled."""

    field: str
    enabled: bool
    change: Change


class NameRecord(TypedDict):
    """An imported name."""

    uuid: str
    kind: str
    name: str
    vault_uuid: str | None
    email: str | None
    imported: Time


class ImportRecord(TypedDict):
    """What an import did."""

    added: Count
    changed: Count
    kept: Count
    unnamed: Count


class RemovedNamesRecord(TypedDict):
    """How many names were removed."""

    removed: Count


class WebhookEventRecord(TypedDict):
    """One event as a webhook gets it in the format raw: the metadata, the fields of its source, and the event."""

    uuid: Annotated[str, Meta(description="The event's id, from 1Password.")]
    api: Annotated[ApiName, Meta(description="`sign-in`, `itemUsage` or `audit`.")]
    time: Annotated[Time, Meta(description="When it happened, with nine digits.")]
    received: Annotated[Time, Meta(description="When it was received and stored.")]
    account: NotRequired[Annotated[str, Meta(description="The 1Password account, once it is known.")]]
    event: Annotated[dict[str, Any], Meta(description="The event as 1Password sent it, after privacy rules.")]
    _source: Annotated[str, Meta(description="The name of the source.")]
    _sourceCategory: NotRequired[Annotated[str, Meta(description="The category of the source, if it has one.")]]
    _siemForward: NotRequired[Annotated[bool, Meta(description="True if forwarding to SIEMs is enabled.")]]
    _siemVendor: NotRequired[Annotated[str, Meta(description="Always `1Password`.")]]
    _siemProduct: NotRequired[Annotated[str, Meta(description="Always `1Password`.")]]
    _siemFormat: NotRequired[Annotated[str, Meta(description="Always `JSON`.")]]
    _siemEventID: NotRequired[Annotated[str, Meta(description="The type of the event, with classifier event-id.")]]
    _siemParser: NotRequired[Annotated[str, Meta(description="The parser in Sumo Logic, with classifier parser.")]]
