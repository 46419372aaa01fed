"""The attributes that all OCSF events of 1Password have, whatever their class."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import received_rfc3339, rfc3339, to_text
from blocks.siem.formats.json_text import to_json
from blocks.siem.formats.ocsf import activity as activities
from blocks.siem.formats.ocsf.objects import (
    OcsfActor,
    OcsfDevice,
    OcsfEndpoint,
    OcsfEntity,
    OcsfReference,
    OcsfSession,
    OcsfUser,
)

if TYPE_CHECKING:
    from blocks.siem.formats.event import EncoderInput
    from blocks.siem.formats.ocsf.activity import Activity

OCSF_VERSION = "1.5.0"
_MS = 1_000_000
_EMPTY = len(b"{}")
_PROFILES = ("host",)  # adds `device`

Text = str | None


class _Product(msgspec.Struct, frozen=True, gc=False):
    name: str = "1Password"
    vendor_name: str = "1Password"


_PRODUCT = _Product()


class OcsfMetadata(msgspec.Struct, gc=False, omit_defaults=True):
    """`logged_time` is in milliseconds since 1970."""

    version: str
    profiles: tuple[str, ...]
    product: _Product
    uid: str
    event_code: str
    log_name: str
    log_provider: str
    original_time: str
    logged_time: int
    tags: tuple[msgspec.Raw, ...]
    tenant_uid: Text = None


class ClassFields(msgspec.Struct, gc=False, omit_defaults=True):
    """The attributes that depend on the class."""

    user: OcsfUser | None = None
    group: OcsfReference | None = None
    entity: OcsfEntity | None = None
    resource: OcsfReference | None = None
    privileges: list[str] | None = None
    actor: OcsfActor | None = None
    src_endpoint: OcsfEndpoint | None = None
    device: OcsfDevice | None = None
    service: OcsfReference | None = None
    session: OcsfSession | None = None
    is_mfa: bool | None = None
    status_id: int | None = None
    status: Text = None
    status_code: Text = None
    status_detail: Text = None
    unmapped: dict[str, Any] | None = None


class _Document(msgspec.Struct, gc=False):
    time: int
    metadata: OcsfMetadata
    raw_data: str


def encode(encoder_input: EncoderInput, activity: Activity, word: str | None, parts: ClassFields) -> bytes:
    """Return the OCSF document. `word` is 1Password's own name of the activity.

    `raw_data` is the body as text, byte for byte. OCSF's times are milliseconds since 1970; all digits are in
    `metadata.original_time` and in the tag `received`.
    """
    start = activities.activity_fields(activity, word)
    middle = to_json(parts)
    end = to_json(_Document(encoder_input.event.time_ns // _MS, _metadata(encoder_input), encoder_input.original))
    return start[:-1] + b"," + middle[1:-1] + (b"," if len(middle) > _EMPTY else b"") + end[1:]


def _metadata(encoder_input: EncoderInput) -> OcsfMetadata:
    stream, event = encoder_input.stream, encoder_input.event
    arrived = msgspec.Raw(b'{"name":"received","value":"' + received_rfc3339(event.received_ns).encode() + b'"}')
    return OcsfMetadata(
        version=OCSF_VERSION,
        profiles=_PROFILES,
        product=_PRODUCT,
        uid=event.uuid,
        event_code=encoder_input.event_id,
        log_name=stream.api.path,
        log_provider="1Password Events API",
        original_time=rfc3339(event.time_ns),
        logged_time=event.received_ns // _MS,
        tags=(arrived, *_tags(metadata.metadata_group(stream, encoder_input.event_id))),
        tenant_uid=encoder_input.account,
    )


@lru_cache(maxsize=1024)
def _tags(group: metadata.MetadataGroup) -> tuple[msgspec.Raw, ...]:
    """Return the metadata of a group, each member as an encoded tag."""
    named = {"api": group.stream.api.value, **group.standard, **group.fields}
    return tuple(msgspec.Raw(to_json({"name": name, "value": to_text(value)})) for name, value in named.items())
