"""The shape ECS: the Elastic Common Schema, as Elastic's own 1Password integration fills it.

Field by field as its ingest pipelines do (`elastic/integrations`, `packages/1password`, ECS 8.11), with what follows
from there being no pipeline in between:
- `source.geo` is 1Password's own `location`; Elastic drops that and asks its GeoIP database.
- `organization.id`, `event.id` and `event.original` are always there; a category that is not documented has the
  outcome `unknown` where its name does not end in `_failed`.
- A member that Elasticsearch's type of a field would refuse, and so the whole event, stands in `event.original` only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from blocks.events_api.models import Api
from blocks.siem import metadata, outcome
from blocks.siem.json_text import encoded
from blocks.siem.moment import rfc3339
from blocks.siem.parts import inner, is_ip, milliseconds, position, text, texts, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.siem.draft import Draft

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

_CLIENT = ("app_name", "app_version", "platform_name", "platform_version")
_USER = ("uuid", "name", "email", "user_type", "user_account_uuid")
_OF_USER = ("user_type", "user_account_uuid")
_SIGN_IN = ("session_uuid", "type", "country")
_ITEM = ("vault_uuid", "item_uuid")
_AUDIT = ("actor_uuid", "actor_type", "actor_account_uuid", "object_type", "object_uuid", "aux_uuid", "aux_info")
_ISO = 2  # letters of a country code

Members = dict[str, Any]


def document(draft: Draft) -> bytes:
    """The ECS document of an event. Raises RecursionError where it is nested too deeply."""
    start = encoded(_MAKERS[draft.stamp.api](draft))
    return start[:-1] + _end(metadata.group_of(draft.stamp, draft.event_id))


def _sign_in(draft: Draft) -> Members:
    body, client = draft.members, inner(draft.members, "client")
    user = inner(body, "target_user")
    own = {**texts(body, _SIGN_IN), **texts(user, _OF_USER), **_client(client)}
    if value := text(inner(body, "details"), "value"):
        own["details"] = {"value": value}
    event = {"action": text(body, "category"), "outcome": outcome.of(body.get("category"))}
    people = [text(user, "uuid"), text(user, "email"), text(user, "name")]
    return _common(draft, event, own, people, text(client, "ip_address")) | _user(user, "uuid") | _host(client)


def _item_usage(draft: Draft) -> Members:
    body, client = draft.members, inner(draft.members, "client")
    user = inner(body, "user")
    own = {**texts(body, _ITEM), **texts(user, _OF_USER), **_client(client)}
    if (version := whole(body, "used_version")) is not None:
        own["used_version"] = version
    people = [text(user, "uuid"), text(user, "email"), text(user, "name")]
    event = {"action": text(body, "action")}
    return _common(draft, event, own, people, text(client, "ip_address")) | _user(user, "uuid") | _host(client)


def _audit(draft: Draft) -> Members:
    body = draft.members
    actor, kind = inner(body, "actor_details"), body.get("object_type")
    people = [text(actor, "name"), text(body, "actor_uuid")]
    if kind == "user":
        people.append(text(body, "object_uuid"))
    elif isinstance(kind, str) and kind in RELATED_AUX:
        people.append(text(body, "aux_uuid"))
    event = {"action": text(body, "action")}
    ip = text(inner(body, "session"), "ip")
    common = _common(draft, event, _own_of_audit(body), people, ip)
    return common | _user({**actor, "uuid": body.get("actor_uuid")}, "uuid")


def _own_of_audit(body: Mapping[str, Any]) -> Members:
    own = texts(body, _AUDIT)
    for name in ("actor_details", "object_details", "aux_details"):
        if found := texts(inner(body, name), _USER):
            own[name] = found
    if (number := whole(body, "aux_id")) is not None:
        own["aux_id"] = number
    if session := _session(inner(body, "session")):
        own["session"] = session
    return own


def _session(session: Mapping[str, Any]) -> Members:
    found = texts(session, ("uuid", "device_uuid", "login_time"))
    if milliseconds(session, "login_time") is None:
        found.pop("login_time", None)  # Elasticsearch has it as a date
    return found


def _common(draft: Draft, told: Members, own: Members, people: list[str | None], ip: str | None) -> Members:
    event, api = draft.event, draft.stamp.api
    categories, types = CATEGORIES[api]
    made: Members = {
        "@timestamp": rfc3339(event.time_ns),
        "event": {
            "kind": "event",
            "category": categories,
            "type": types,
            **{name: value for name, value in told.items() if value is not None},
            "id": event.uuid,
            "created": rfc3339(event.received_ns),
            "module": "1password",
            "dataset": DATASETS[api],
            "original": draft.body.decode(),
        },
        "onepassword": {"uuid": event.uuid, **own},
    }
    if draft.account is not None:
        made["organization"] = {"id": draft.account}
    return made | _source(ip, inner(draft.members, "location")) | _related(people, ip)


def _source(ip: str | None, location: Mapping[str, Any]) -> Members:
    # What a rule has masked or hashed is no address to Elasticsearch.
    source: Members = {"ip" if is_ip(ip) else "address": ip} if ip else {}
    if geo := _geo(location):
        source["geo"] = geo
    return {"source": source} if source else {}


def _geo(location: Mapping[str, Any]) -> Members:
    geo: Members = {}
    if country := text(location, "country"):
        is_code = len(country) == _ISO and country.isascii() and country.isupper()
        geo["country_iso_code" if is_code else "country_name"] = country
    if region := text(location, "region"):
        geo["region_name"] = region
    if city := text(location, "city"):
        geo["city_name"] = city
    if place := position(location):
        geo["location"] = {"lat": place[0], "lon": place[1]}
    return geo


def _related(people: list[str | None], ip: str | None) -> Members:
    related: Members = {}
    if users := list(dict.fromkeys(one for one in people if one)):
        related["user"] = users
    if ip and is_ip(ip):
        related["ip"] = [ip]
    return {"related": related} if related else {}


def _user(user: Mapping[str, Any], uuid: str) -> Members:
    found: Members = {}
    if value := text(user, uuid):
        found["id"] = value
    if name := text(user, "name"):
        found["full_name"] = found["name"] = name
    if email := text(user, "email"):
        found["email"] = email
    return {"user": found} if found else {}


def _client(client: Mapping[str, Any]) -> Members:
    found = texts(client, _CLIENT)
    return {"client": found} if found else {}


def _host(client: Mapping[str, Any]) -> Members:
    system: Members = {}
    if name := text(client, "os_name"):
        system["name"] = name
    if version := text(client, "os_version"):
        system["version"] = version
    return {"host": {"os": system}} if system else {}


@lru_cache(maxsize=1024)
def _end(group: metadata.Group) -> bytes:
    """What is the same for all events of a group, and the metadata.

    Elasticsearch refuses an event with a member `_source`, so the names lose their underscore and stand in an object.
    """
    dataset = DATASETS[group.stamp.api]
    ours = {name.removeprefix("_"): value for name, value in group.ours.items()}
    made: Members = {
        "ecs": {"version": ECS_VERSION},
        "data_stream": {"type": "logs", "dataset": dataset},
        "onepassword_source": {"api": group.stamp.api.value, **ours},
        "tags": ["forwarded", dataset.replace(".", "-")],
    }
    if group.fields:
        made["labels"] = {name: _label(value) for name, value in group.fields.items()}
    return b"," + encoded(made)[1:]


def _label(value: object) -> str:
    """ECS has labels as texts, whatever they were."""
    return str(value).lower() if isinstance(value, bool) else str(value)


_MAKERS = {Api.SIGN_IN: _sign_in, Api.ITEM_USAGE: _item_usage, Api.AUDIT: _audit}
