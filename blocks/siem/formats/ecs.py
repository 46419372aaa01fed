"""The format ECS: the Elastic Common Schema, as Elastic's own 1Password integration fills it.

Field by field as its ingest pipelines do (`elastic/integrations`, `packages/1password`, ECS 8.11). What differs stands
in `docs/siem/formats.md` with the reason, and in a test beside the whole table. A member that Elasticsearch's type of a
field would refuse, and so the whole event, stands in `event.original` only.
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
from blocks.siem.formats.field_values import country_code, is_ip, received_rfc3339, rfc3339, to_milliseconds
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
"""Objects of an audit event whose aux is a user: a member, who has access, an owner."""
INTEGER = 2**31 - 1
"""The largest number of Elasticsearch's type `integer`, as Elastic has `onepassword.used_version`."""
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)

Text = str | None


class _Fields(msgspec.Struct, gc=False, omit_defaults=True):
    """Fields of ECS; those that are None are not written."""


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


class _Named(_Fields):
    name: Text = None
    version: Text = None


class _Host(_Fields):
    os: _Named


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


class _OfSignIn(_Fields):
    uuid: str
    session_uuid: Text = None
    account_uuid: Text = None
    type: Text = None
    country: Text = None
    details: Details | None = None
    user_type: Text = None
    user_account_uuid: Text = None
    client: Client | None = None


class _OfItemUsage(_Fields):
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


class _OfAudit(_Fields):
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
    onepassword: _OfSignIn | _OfItemUsage | _OfAudit | dict[str, Any]
    organization: dict[str, str] | None = None
    user: _User | None = None
    host: _Host | None = None
    source: _Source | None = None
    related: _Related | None = None


def sign_in(draft: EncoderInput, body: SignIn) -> bytes:
    person, client = body.target_user or NO_PERSON, body.client or NO_CLIENT
    own = _OfSignIn(
        draft.event.uuid,
        session_uuid=body.session_uuid,
        account_uuid=body.account_uuid,
        type=body.type,
        country=body.country,
        details=body.details if body.details and body.details.value else None,
        user_type=person.user_type,
        user_account_uuid=person.user_account_uuid,
        client=_client(client),
    )
    made = _document(draft, body, own)
    made.event.outcome = sign_in_outcome.classify(body.category)
    return _written(draft, _of_client(made, person, client, _geo(body.location, body.country)))


def item_usage(draft: EncoderInput, body: ItemUsage) -> bytes:
    person, client = body.user or NO_PERSON, body.client or NO_CLIENT
    own = _OfItemUsage(
        draft.event.uuid,
        account_uuid=body.account_uuid,
        used_version=_integer(body.used_version),
        vault_uuid=body.vault_uuid,
        item_uuid=body.item_uuid,
        user_type=person.user_type,
        user_account_uuid=person.user_account_uuid,
        client=_client(client),
    )
    return _written(draft, _of_client(_document(draft, body, own), person, client, _geo(body.location)))


def audit(draft: EncoderInput, body: Audit) -> bytes:
    actor, session = body.actor_details or NO_PERSON, body.session or NO_SESSION
    made = _document(draft, body, _own_of_audit(draft, body))
    made.user = _user(actor, body.actor_uuid)
    made.source = _source(session.ip, _geo(body.location))
    made.related = _related([actor.name, body.actor_uuid, _concerned(body)], session.ip)
    return _written(draft, made)


def _own_of_audit(draft: EncoderInput, body: Audit) -> _OfAudit:
    return _OfAudit(
        draft.event.uuid,
        account_uuid=body.account_uuid,
        actor_details=_beside_user(body.actor_details),
        actor_type=body.actor_type,
        actor_account_uuid=body.actor_account_uuid,
        object_type=body.object_type,
        object_uuid=body.object_uuid,
        object_details=_not_empty(body.object_details),
        aux_id=body.aux_id,
        aux_uuid=body.aux_uuid,
        aux_details=_not_empty(body.aux_details),
        aux_info=body.aux_info,
        session=_session(body.session),
    )


def _concerned(body: Audit) -> str | None:
    """The user that an audit event is about, beside the one who acted."""
    if body.object_type == "user":
        return body.object_uuid
    return body.aux_uuid if body.object_type in RELATED_AUX else None


def _session(session: Session | None) -> _Session | None:
    if session is None:
        return None
    # Elasticsearch has it as a date, and refuses an event with another text there.
    login_time = session.login_time if _is_date(session.login_time) else None
    found = _Session(session.uuid, session.device_uuid, login_time)
    return None if found == _Session() else found


def _is_date(text: str | None) -> bool:
    return text is not None and _DATE.fullmatch(text) is not None and to_milliseconds(text) is not None


def _beside_user(actor: UserDetails | None) -> UserDetails | None:
    """Without what stands in `user`."""
    if actor is None:
        return None
    left = UserDetails(actor.uuid, user_type=actor.user_type, user_account_uuid=actor.user_account_uuid)
    return _not_empty(left)


def _integer(number: int | None) -> int | None:
    return None if number is None or abs(number) > INTEGER else number


def _not_empty(person: UserDetails | None) -> UserDetails | None:
    return None if person == NO_PERSON else person


def _document(
    draft: EncoderInput, body: SignIn | ItemUsage | Audit, own: _OfSignIn | _OfItemUsage | _OfAudit
) -> _Document:
    event, api = draft.event, draft.stream.api
    categories, types = CATEGORIES[api]
    told = _Event(
        kind="event",
        category=categories,
        type=types,
        id=event.uuid,
        created=received_rfc3339(event.received_ns),
        module="1password",
        dataset=DATASETS[api],
        original=draft.original,
        action=body.activity or None,
    )
    account = None if draft.account is None else {"id": draft.account}
    left = undocumented.undocumented_members(api, draft.original)
    all_own = undocumented.merge(msgspec.to_builtins(own), left) if left else own
    return _Document(timestamp=rfc3339(event.time_ns), event=told, onepassword=all_own, organization=account)


def _of_client(made: _Document, person: UserDetails, client: Client, geo: _Geo | None) -> _Document:
    made.user = _user(person, person.uuid)
    made.source = _source(client.ip_address, geo)
    made.related = _related([person.uuid, person.email, person.name], client.ip_address)
    if client.os_name or client.os_version:
        made.host = _Host(_Named(client.os_name or None, client.os_version or None))
    return made


def _user(person: UserDetails, uuid: str | None) -> _User | None:
    name = person.name or None
    if not (uuid or name or person.email):
        return None
    return _User(uuid or None, name, name, person.email or None)


def _client(client: Client) -> Client | None:
    """Without what stands in `host.os` and `source`."""
    found = Client(client.app_name, client.app_version, client.platform_name, client.platform_version)
    return None if found == NO_CLIENT else found


def _source(ip: str | None, geo: _Geo | None) -> _Source | None:
    if not ip:
        return _Source(geo=geo) if geo else None
    # What a rule has masked or hashed is no address to Elasticsearch.
    return _Source(ip, None, geo) if is_ip(ip) else _Source(None, ip, geo)


def _geo(location: Location | None, country: str | None = None) -> _Geo | None:
    """`country` is that of a sign-in attempt, which is a code where that of its location is a name."""
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


def _written(draft: EncoderInput, made: _Document) -> bytes:
    return to_json(made)[:-1] + _end(metadata.metadata_group(draft.stream, draft.event_id))


@lru_cache(maxsize=1024)
def _end(group: metadata.MetadataGroup) -> bytes:
    """What is the same for all events of a group, and the metadata.

    Elasticsearch refuses an event with a member `_source`, so the names lose their underscore and stand in an object.
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
        made["labels"] = {name: _label(value) for name, value in group.fields.items()}
    return b"," + to_json(made)[1:]


def _label(value: object) -> str:
    """ECS has labels as texts, whatever they were."""
    return str(value).lower() if isinstance(value, bool) else str(value)
