"""Events as the rows of a list: what happened in words, who did it, from where, and to which vault or item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from blocks.events_api.action_words import describe
from blocks.store import names
from blocks.store.engine import reading, store_errors
from blocks.store.search.days import day_of
from blocks.store.search.members import IndexedMembers, read_members
from blocks.store.tables import IndexValueRow, UserNameRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

    from blocks.store.search.results import EventHit

AUDIT, SIGN_IN = "audit", "sign-in"

_users = table_of(UserNameRow)
_values = table_of(IndexValueRow)


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a list. `begins_day`: the event before it in the list is of another day."""

    hit: EventHit
    members: IndexedMembers
    words: str
    names: dict[str, str]
    begins_day: bool

    def name(self, uuid: str | None) -> str:
        """What people call a user, a vault, an item or a group; its id if it has no name here."""
        return self.names.get(uuid or "", uuid or "")

    @property
    def target(self) -> tuple[str, str]:
        """To whom or what it was done: the parameter that filters by it, and its id; both empty if there is none."""
        for parameter, value in (
            ("item", self.members.item),
            ("aux", self.members.aux),
            ("vault", self.members.vault),
            ("object", self.members.object),
        ):
            if value:
                return parameter, value
        return "", ""


def event_rows(engine: Engine, hits: Sequence[EventHit]) -> list[EventRow]:
    """The rows of these events, with the names that the store has for what is in them."""
    read = [read_members(hit.api, hit.body) for hit in hits]
    uuids = {uuid for members in read for uuid in _uuids(members)}
    known = known_names(engine, uuids)
    rows = []
    for place, (hit, members) in enumerate(zip(hits, read, strict=True)):
        begins_day = place == 0 or day_of(hits[place - 1].time_ns) != day_of(hit.time_ns)
        rows.append(EventRow(hit, members, words_of(hit.api, members), known, begins_day))
    return rows


def words_of(api: str, members: IndexedMembers) -> str:
    """What happened, in words; the codes themselves where they are not documented."""
    if api == SIGN_IN:
        return describe(api, members.action, members.type)
    return describe(api, members.type, members.action)


def known_names(engine: Engine, uuids: Iterable[str]) -> dict[str, str]:
    """Names by id: imported ones, and the addresses or names of users, which come from events and win."""
    wanted = sorted(set(uuids))
    found = names.name_by_uuid(engine, wanted)
    query = (
        select(_values.c.value, _users.c.email, _users.c.name)
        .join(_users, _users.c.user_id == _values.c.id)
        .where(_values.c.value.in_(bindparam("uuids", wanted, expanding=True)))
    )
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(query).all()
    return found | {row.value: row.email or row.name for row in rows if row.email or row.name}


def _uuids(members: IndexedMembers) -> list[str]:
    values = (members.user, members.vault, members.item, members.object, members.aux)
    return [value for value in values if value]
