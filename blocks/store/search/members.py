"""The members of an event that the search finds it by, read from its body."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

VALUE_MAX = 200
"""Characters of a value that count: PostgreSQL's index entries must stay under 2.7 kB. 1Password's own are shorter."""
_SUCCEEDED = frozenset({"success", "firewall_reported_success"})
_OF_A_VAULT = frozenset({"vault", "vaultkey", "uva", "gva", "items", "itemhist"})
"""The object types of audit events whose object is a vault."""
_ITEM = "item"
_COUNTRY_CODE = 2  # letters


class Kind(IntEnum):
    """What a value in `index_values` is. Users, vaults, items, groups and other objects share one kind of id."""

    ENTITY = 1
    IP = 2
    COUNTRY = 3
    ACTION = 4
    TYPE = 5
    CLIENT = 6
    VERSION = 7
    OS = 8


MEMBERS: dict[str, Kind] = {
    "user": Kind.ENTITY,
    "action": Kind.ACTION,
    "type": Kind.TYPE,
    "ip": Kind.IP,
    "country": Kind.COUNTRY,
    "client": Kind.CLIENT,
    "version": Kind.VERSION,
    "os": Kind.OS,
    "vault": Kind.ENTITY,
    "item": Kind.ENTITY,
    "object": Kind.ENTITY,
    "aux": Kind.ENTITY,
}
"""The indexed members and the kinds of their values. Each has a column in `event_index`: `user_id` and so on."""


class Person(NamedTuple):
    """The name and the e-mail address that an event gives for a user."""

    name: str | None
    email: str | None


class IndexedMembers(NamedTuple):
    """What an event is searched by. A member that the body does not have is None."""

    failed: bool | None = None
    user: str | None = None
    action: str | None = None
    type: str | None = None
    ip: str | None = None
    country: str | None = None
    client: str | None = None
    version: str | None = None
    os: str | None = None
    vault: str | None = None
    item: str | None = None
    object: str | None = None
    aux: str | None = None
    people: tuple[tuple[str, Person], ...] = ()


def read_members(api: str, body: str | bytes) -> IndexedMembers:
    """The members of an event. A body that cannot be read has none, and is no error."""
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        return IndexedMembers()
    return _READERS.get(api, _audit)(value) if isinstance(value, dict) else IndexedMembers()


def normalized(value: object) -> str | None:
    """A value as the index has it: text that both databases can store, at most VALUE_MAX characters; None if empty."""
    if not isinstance(value, str):
        return None if value is None or isinstance(value, dict | list) else normalized(str(value))
    if not (value.isascii() and value.isprintable()):
        value = value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value[:VALUE_MAX] or None


_decoder = msgspec.json.Decoder()


def _decode(body: str | bytes) -> Any:
    try:
        return _decoder.decode(body)
    except ValueError:  # a lone surrogate, which msgspec rejects
        return json.loads(body, parse_int=float)  # float accepts a number of any length, int does not


def _sign_in(body: dict[str, Any]) -> IndexedMembers:
    category, person, client = body.get("category"), _part(body, "target_user"), _part(body, "client")
    user = _user(person, None)
    return IndexedMembers(
        failed=category not in _SUCCEEDED if isinstance(category, str) else None,
        user=user,
        action=normalized(category),
        type=normalized(body.get("type")),
        ip=normalized(client.get("ip_address")),
        country=_country(body),
        **_client(client),
        people=_people((user, person)),
    )


def _item_usage(body: dict[str, Any]) -> IndexedMembers:
    person, client = _part(body, "user"), _part(body, "client")
    user = _user(person, None)
    return IndexedMembers(
        user=user,
        action=normalized(body.get("action")),
        ip=normalized(client.get("ip_address")),
        country=_country(body),
        **_client(client),
        vault=normalized(body.get("vault_uuid")),
        item=normalized(body.get("item_uuid")),
        people=_people((user, person)),
    )


def _audit(body: dict[str, Any]) -> IndexedMembers:
    actor, about, aux = (_part(body, f"{role}_details") for role in ("actor", "object", "aux"))
    user = _user(actor, body.get("actor_uuid"))
    kind, object_id = normalized(body.get("object_type")), normalized(body.get("object_uuid"))
    aux_id = normalized(body.get("aux_uuid"))
    return IndexedMembers(
        user=user,
        action=normalized(body.get("action")),
        type=kind,
        ip=normalized(_part(body, "session").get("ip")),
        country=_country(body),
        vault=object_id if kind in _OF_A_VAULT else None,
        item=object_id if kind == _ITEM else None,
        object=object_id,
        aux=aux_id,
        people=_people((user, actor), (object_id, about), (aux_id, aux)),
    )


_READERS = {"sign-in": _sign_in, "itemUsage": _item_usage}


def _part(body: dict[str, Any], member: str) -> dict[str, Any]:
    part = body.get(member)
    return part if isinstance(part, dict) else {}


def _user(person: dict[str, Any], otherwise: object) -> str | None:
    """The id of a user; the address or the name of one without an id."""
    for value in (person.get("uuid"), otherwise, person.get("email"), person.get("name")):
        if (id_ := normalized(value)) is not None:
            return id_
    return None


def _client(client: dict[str, Any]) -> dict[str, Any]:
    return {
        "client": normalized(client.get("app_name")),
        "version": normalized(client.get("app_version")),
        "os": normalized(client.get("os_name")),
    }


def _country(body: dict[str, Any]) -> str | None:
    """The first that has two letters; some events spell the country in one place and have its code in the other."""
    named = normalized(body.get("country")), normalized(_part(body, "location").get("country"))
    return next((name for name in named if name and len(name) == _COUNTRY_CODE), named[0] or named[1])


def _people(*named: tuple[str | None, dict[str, Any]]) -> tuple[tuple[str, Person], ...]:
    return tuple([(id_, person) for id_, details in named if id_ and details and any(person := _person(details))])


def _person(details: dict[str, Any]) -> Person:
    return Person(normalized(details.get("name")), normalized(details.get("email")))
