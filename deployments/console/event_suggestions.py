"""Values for the form of a search: what events have, and the names that people know vaults, items and groups by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blocks.events_api.models import Api
from blocks.store import names, sources
from blocks.store.search import counts
from blocks.store.search.query import PERSON

if TYPE_CHECKING:
    from sqlalchemy import Engine

LIMIT = 10
NAMED = {"vault", "item", "object", "aux"}
"""The parameters whose ids may have imported names."""


class Suggestion(NamedTuple):
    """A value of a parameter, and what people call it, if that is something else."""

    value: str
    name: str = ""


def suggest(engine: Engine, parameter: str, typed: str) -> list[Suggestion]:
    """At most LIMIT values that begin with what was typed, or whose name has it."""
    if parameter == "api":
        return [Suggestion(api) for api in Api if typed.casefold() in api.casefold()]
    if parameter == "source":
        known = sorted(sources.ids_by_name(engine))
        return [Suggestion(name) for name in known if typed.casefold() in name.casefold()][:LIMIT]
    member = "user" if parameter == PERSON else parameter
    found = {one.value: Suggestion(one.value, one.name or "") for one in counts.suggest(engine, member, typed, LIMIT)}
    if parameter in NAMED:
        named = names.matching(engine, typed)[:LIMIT]
        found |= {one.object.uuid: Suggestion(one.object.uuid, one.object.name) for one in named}
    return list(found.values())[:LIMIT]


def id_of(engine: Engine, parameter: str, value: str) -> str:
    """The id of a vault, an item or a group that was given by its imported name; other values as they are."""
    if parameter not in NAMED:
        return value
    ids = {one.object.uuid for one in names.matching(engine, value) if one.object.name.casefold() == value.casefold()}
    return ids.pop() if len(ids) == 1 else value
