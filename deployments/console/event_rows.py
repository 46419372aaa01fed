"""Events as the rows of a list: what happened in words, who did it, from where, and to which vault or item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.events_api.action_words import describe
from blocks.store.insight import values
from blocks.store.search.days import day_of
from blocks.store.search.members import IndexedMembers, read_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

    from blocks.store.search.results import EventHit

AUDIT, SIGN_IN = "audit", "sign-in"


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
    """What to call these ids: users by their addresses, which are unique, and others by their imported names."""
    found = values.known_names(engine, uuids)
    return {uuid: one.email or one.text for uuid, one in found.items() if one.email or one.text}


def _uuids(members: IndexedMembers) -> list[str]:
    values = (members.user, members.vault, members.item, members.object, members.aux)
    return [value for value in values if value]
