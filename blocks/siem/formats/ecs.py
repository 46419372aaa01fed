"""The format ECS: the Elastic Common Schema, as Elastic's own 1Password integration fills it.

Each field follows its ingest pipelines (`elastic/integrations`, `packages/1password`, ECS 8.11). The differences are in
`docs/siem/formats.md` with their reasons, and in a test of the whole table. If Elasticsearch's type of a field would
reject a member, and with it the whole event, the member is only in `event.original`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from blocks.events_api.models import Api
from blocks.siem.formats import metadata, sign_in_outcome, undocumented
from blocks.siem.formats.body import (
    NO_CLIENT,
    NO_LOCATION,
    NO_PERSON,
    NO_SESSION,
    Audit,
    Client,
    Details,
    ItemUsage,
    SignIn,
    UserDetails,
)
from blocks.siem.formats.field_values import country_code, is_ip, received_rfc3339, rfc3339, to_milliseconds, to_text
from blocks.siem.formats.json_text import to_json

if TYPE_CHECKING:
    from blocks.siem.formats.body import Location, Session
    from blocks.siem.formats.event import EncoderInput

ECS_VERSION = "8.11.0"
DATASETS = {
    Api.SIGN_IN: "1password.signin_attempts",
    Api.ITEM_USAGE: "1password.item_usages",
    Api.AUDIT: "1password.audit_events",
}
CATEGORIES = {
    Api.SIGN_IN: (["authentication"], ["info"]),
    Api.ITEM_USAGE: (["file"], ["access"]),
    Api.AUDIT: (["configuration"], ["access"]),
}
"""`event.category` and `event.type`."""
RELATED_AUX = frozenset({"gm", "uva", "device"})
"""Object types of an audit event whose aux is a user: a member, a user with access, an owner."""
INTEGER = 2**31 - 1
"""The largest number of Elasticsearch's type `integer`, which is Elastic's type of `onepassword.used_version`."""
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)

Text = str | None


class _Fields(msgspec.Struct, gc=False, omit_defaults=True):
    """Fields of ECS. None is not written."""


class _Event(_Fields):
    kind: str
    category: list[str]
    type: list[str]
    id: str
    created: str
    module: str
    dataset: str
    original: str
    action: Text = None
    outcome: Text = None


class _User(_Fields):
    id: Text = None
    name: Text = None
    full_name: Text = None
    email: Text = None


class _NameAndVersion(_Fields):
    name: Text = None
    version: Text = None


class _Host(_Fields):
    os: _NameAndVersion


class _Geo(_Fields):
    country_iso_code: Text = None
    country_name: Text = None
    region_name: Text = None
    city_name: Text = None
    location: dict[str, float] | None = None


class _Source(_Fields):
    ip: Text = None
    address: Text = None
    geo: _Geo | None = None


class _Related(_Fields):
    user: list[str] | None = None
    ip: list[str] | None = None


class _SignInFields(_Fields):
    uuid: str
    session_uuid: Text = None
    account_uuid: Text = None
    type: Text = None
    country: Text = None
    details: Details | None = None
    user_type: Text = None
    user_account_uuid: Text = None
    client: Client | None = None


class _ItemUsageFields(_Fields):
    uuid: str
    account_uuid: Text = None
    used_version: int | None = None
    vault_uuid: Text = None
    item_uuid: Text = None
    user_type: Text = None
    user_account_uuid: Text = None
    client: Client | None = None


class _Session(_Fields):
    uuid: Text = None
    device_uuid: Text = None
    login_time: Text = None


class _AuditFields(_Fields):
    uuid: str
    account_uuid: Text = None
    actor_details: UserDetails | None = None
    actor_type: Text = None
    actor_account_uuid: Text = None
    object_type: Text = None
    object_uuid: Text = None
    object_details: UserDetails | None = None
    aux_id: int | None = None
    aux_uuid: Text = None
    aux_details: UserDetails | None = None
    aux_info: Text = None
    session: _Session | None = None


class _Document(_Fields):
    timestamp: str = msgspec.field(name="@timestamp")
    event: _Event
    onepassword: _SignInFields | _ItemUsageFields | _AuditFields | dict[str, Any]
    organization: dict[str, str] | None = None
    user: _User | None = None
    host: _Host | None = None
    source: _Source | None = None
    related: _Related | None = None


def sign_in(encoder_input: EncoderInput, body: SignIn) -> bytes:
    person, client = body.target_user or NO_PERSON, body.client or NO_CLIENT
    own = _SignInFields(
        encoder_input.event.uuid,
        session_uuid=body.session_uuid,
        account_uuid=body.account_uuid,
        type=body.type,
        country=body.country,
        details=body.details if body.details and body.details.value else None,
        user_type=person.user_type,
        user_account_uuid=person.user_account_uuid,
        client=_client(client),
    )
    made = _document(encoder_input, body, own)
    made.event.outcome = sign_in_outcome.classify(body.category)
    return _assemble(encoder_input, _add_client(made, person, client, _geo(body.location, body.country)))


def item_usage(encoder_input: EncoderInput, body: ItemUsage) -> bytes:
    person, client = body.user or NO_PERSON, body.client or NO_CLIENT
    own = _ItemUsageFields(
        encoder_input.event.uuid,
        account_uuid=body.account_uuid,
        used_version=_bounded_integer(body.used_version),
        vault_uuid=body.vault_uuid,
        item_uuid=body.item_uuid,
        user_type=person.user_type,
        user_account_uuid=person.user_account_uuid,
        client=_client(client),
    )
    return _assemble(
        encoder_input, _add_client(_document(encoder_input, body, own), person, client, _geo(body.location))
    )


def audit(encoder_input: EncoderInput, body: Audit) -> bytes:
    actor, session = body.actor_details or NO_PERSON, body.session or NO_SESSION
    made = _document(encoder_input, body, _audit_fields(encoder_input, body))
    made.user = _user(actor, body.actor_uuid)
    made.source = _source(session.ip, _geo(body.location))
    made.related = _related([actor.name, body.actor_uuid, _affected_user(body)], session.ip)
    return _assemble(encoder_input, made)


def _audit_fields(encoder_input: EncoderInput, body: Audit) -> _AuditFields:
    return _AuditFields(
        encoder_input.event.uuid,
        account_uuid=body.account_uuid,
        actor_details=_actor_fields(body.actor_details),
        actor_type=body.actor_type,
        actor_account_uuid=body.actor_account_uuid,
        object_type=body.object_type,
        object_uuid=body.object_uuid,
        object_details=_none_if_empty(body.object_details),
        aux_id=body.aux_id,
        aux_uuid=body.aux_uuid,
        aux_details=_none_if_empty(body.aux_details),
        aux_info=body.aux_info,
        session=_session(body.session),
    )


def _affected_user(body: Audit) -> str | None:
    """Return the uuid of the user that an audit event affects, other than the actor."""
    if body.object_type == "user":
        return body.object_uuid
    return body.aux_uuid if body.object_type in RELATED_AUX else None


def _session(session: Session | None) -> _Session | None:
    if session is None:
        return None
    # The field is a date in Elasticsearch, which rejects an event with another text in it.
    login_time = session.login_time if _is_date(session.login_time) else None
    found = _Session(session.uuid, session.device_uuid, login_time)
    return None if found == _Session() else found


def _is_date(text: str | None) -> bool:
    return text is not None and _DATE.fullmatch(text) is not None and to_milliseconds(text) is not None


def _actor_fields(actor: UserDetails | None) -> UserDetails | None:
    """Return the actor without the members that are in `user`."""
    if actor is None:
        return None
    left = UserDetails(actor.uuid, user_type=actor.user_type, user_account_uuid=actor.user_account_uuid)
    return _none_if_empty(left)


def _bounded_integer(number: int | None) -> int | None:
    return None if number is None or abs(number) > INTEGER else number


def _none_if_empty(person: UserDetails | None) -> UserDetails | None:
    return None if person == NO_PERSON else person


def _document(
    encoder_input: EncoderInput, body: SignIn | ItemUsage | Audit, own: _SignInFields | _ItemUsageFields | _AuditFields
) -> _Document:
    event, api = encoder_input.event, encoder_input.stream.api
    categories, types = CATEGORIES[api]
    fields = _Event(
        kind="event",
        category=categories,
        type=types,
        id=event.uuid,
        created=received_rfc3339(event.received_ns),
        module="1password",
        dataset=DATASETS[api],
        original=encoder_input.original,
        action=body.activity or None,
    )
    account = None if encoder_input.account is None else {"id": encoder_input.account}
    left = undocumented.undocumented_members(api, encoder_input.original)
    all_own = undocumented.merge(msgspec.to_builtins(own), left) if left else own
    return _Document(timestamp=rfc3339(event.time_ns), event=fields, onepassword=all_own, organization=account)


def _add_client(made: _Document, person: UserDetails, client: Client, geo: _Geo | None) -> _Document:
    made.user = _user(person, person.uuid)
    made.source = _source(client.ip_address, geo)
    made.related = _related([person.uuid, person.email, person.name], client.ip_address)
    if client.os_name or client.os_version:
        made.host = _Host(_NameAndVersion(client.os_name or None, client.os_version or None))
    return made


def _user(person: UserDetails, uuid: str | None) -> _User | None:
    name = person.name or None
    if not (uuid or name or person.email):
        return None
    return _User(uuid or None, name, name, person.email or None)


def _client(client: Client) -> Client | None:
    """Return the client without the members that are in `host.os` and `source`."""
    found = Client(client.app_name, client.app_version, client.platform_name, client.platform_version)
    return None if found == NO_CLIENT else found


def _source(ip: str | None, geo: _Geo | None) -> _Source | None:
    if not ip:
        return _Source(geo=geo) if geo else None
    # Elasticsearch rejects a masked or hashed address in a field of type ip.
    return _Source(ip, None, geo) if is_ip(ip) else _Source(None, ip, geo)


def _geo(location: Location | None, country: str | None = None) -> _Geo | None:
    """Return the location. `country` is that of a sign-in attempt: a code, even if the location has a name."""
    location = location or NO_LOCATION
    found = _Geo(
        country_iso_code=country_code(location.country) or country_code(country),
        country_name=None if country_code(location.country) else location.country or None,
        region_name=location.region or None,
        city_name=location.city or None,
    )
    if location.latitude is not None and location.longitude is not None:
        found.location = {"lat": location.latitude, "lon": location.longitude}
    return None if found == _Geo() else found


def _related(people: list[str | None], ip: str | None) -> _Related | None:
    users: list[str] = []
    for one in people:
        if one and one not in users:
            users.append(one)
    ips = [ip] if ip and is_ip(ip) else None
    return _Related(users or None, ips) if users or ips else None


def _assemble(encoder_input: EncoderInput, made: _Document) -> bytes:
    return to_json(made)[:-1] + _shared_end(metadata.metadata_group(encoder_input.stream, encoder_input.event_id))


@lru_cache(maxsize=1024)
def _shared_end(group: metadata.MetadataGroup) -> bytes:
    """Return the end of a document: the fields that all events of a group share, and the metadata.

    Elasticsearch rejects a member `_source`, so the names lose their underscore and are in an object.
    """
    dataset = DATASETS[group.stream.api]
    made: dict[str, Any] = {
        "ecs": {"version": ECS_VERSION},
        "data_stream": {"type": "logs", "dataset": dataset, "namespace": group.stream.namespace},
        "onepassword_source": {
            "api": group.stream.api.value,
            **{name.removeprefix("_"): value for name, value in group.standard.items()},
        },
        "tags": ["forwarded", dataset.replace(".", "-")],
    }
    if group.fields:
        made["labels"] = {name: to_text(value) for name, value in group.fields.items()}
    return b"," + to_json(made)[1:]
