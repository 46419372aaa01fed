"""Imported names beside the ids of an event, for SIEMs whose block has `with_names`: `vault_name` after `vault_uuid`.

They are added to what is sent, never to what is stored, and before any rule redacts: a rule for an id holds for its
name, too. The names of users are in events already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from blocks.siem.formats import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMBERS: Mapping[str, str] = {
    "vault_uuid": "vault_name",
    "item_uuid": "item_name",
    "actor_uuid": "actor_name",
    "object_uuid": "object_name",
    "aux_uuid": "aux_name",
    "account_uuid": "account_name",
}
"""The ids in events, and the members that get their names."""


class _Ids(msgspec.Struct, gc=False, frozen=True):
    """The ids and names of a body. Each may have any JSON type."""

    vault_uuid: Any = None
    item_uuid: Any = None
    actor_uuid: Any = None
    object_uuid: Any = None
    aux_uuid: Any = None
    account_uuid: Any = None
    vault_name: Any = msgspec.UNSET
    item_name: Any = msgspec.UNSET
    actor_name: Any = msgspec.UNSET
    object_name: Any = msgspec.UNSET
    aux_name: Any = msgspec.UNSET
    account_name: Any = msgspec.UNSET


_decode = msgspec.json.Decoder(_Ids).decode


def add_names(body: str, names: Mapping[str, str]) -> str | None:
    """Return the body with the names of its ids at its end, or None if none of them has a name.

    All else stays byte for byte. A member that 1Password itself sends is never replaced. Raises nothing.
    """
    ids = _read_ids(body)
    if ids is None:
        return None
    new = {
        member: name
        for id_member, member in MEMBERS.items()
        if getattr(ids, member) is msgspec.UNSET and (name := _name(getattr(ids, id_member), names))
    }
    return f"{body.rstrip().removesuffix('}')},{json_text.to_json(new).decode()[1:]}" if new else None


def _read_ids(body: str) -> _Ids | None:
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        members = json_text.parse_object(body)
    return _Ids(**{name: members[name] for name in _Ids.__struct_fields__ if name in members}) if members else None


def _name(uuid: object, names: Mapping[str, str]) -> str | None:
    return names.get(uuid) if isinstance(uuid, str) else None
