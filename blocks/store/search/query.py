"""A search: what it asks for, and the same in the numbers of the index."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, or_, select

from blocks.store.search import dictionary
from blocks.store.search.members import MEMBERS, Kind, normalized
from blocks.store.tables import SourceRow, StreamRow, UserNameRow, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

PERSON = "person"
"""A member of queries alone: the user who did it, or to whom it was done."""
_PERSON_COLUMNS = ("user_id", "object_id", "aux_id")
EARLIEST_NS, LATEST_NS = -(2**63), 2**63 - 1

_names = table_of(UserNameRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


class Position(NamedTuple):
    """A place in the results, which are newest first: after this event."""

    time_ns: int
    event_id: int


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for. All conditions must hold; of the values of one condition, any.

    Times are nanoseconds since 1970: from `since_ns` to before `until_ns`. `members` are those of `MEMBERS`, and
    `person`; a user or a person may be given by id, e-mail address or name. `text` is searched literally in the body,
    without regard to case. `sources` are names or ids.
    """

    since_ns: int = EARLIEST_NS
    until_ns: int = LATEST_NS
    sources: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failed: bool | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the columns has one of the numbers."""

    columns: tuple[str, ...]
    ids: tuple[int, ...]

    @property
    def branches(self) -> list[tuple[str, int]]:
        return [(column, id_) for column in self.columns for id_ in self.ids]


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A search in the numbers of the index. It has no result if a condition has no number."""

    since_ns: int
    until_ns: int
    conditions: tuple[Condition, ...] = ()
    failed: bool | None = None
    needles: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.since_ns >= self.until_ns or not all(condition.ids for condition in self.conditions)


def resolve(connection: Connection, query: SearchQuery) -> ResolvedQuery:
    """Look up the numbers of the query's values. Raises KeyError for a member that is not indexed."""
    conditions = [_condition(connection, member, values) for member, values in query.members.items() if values]
    if query.sources or query.apis:
        conditions.append(Condition(("stream_id",), tuple(_stream_ids(connection, query))))
    return ResolvedQuery(query.since_ns, query.until_ns, tuple(conditions), query.failed, needles(query.text))


def needles(searched: str) -> tuple[str, ...]:
    """The forms that a text may have in `searchable`: as it is, and as a part of a JSON string."""
    if not searched:
        return ()
    quoted = searched.replace("\\", "\\\\").replace('"', '\\"')
    return tuple(dict.fromkeys((searched.casefold(), quoted.casefold())))


def plain_part(forms: Sequence[str]) -> str:
    """The longest part of a text that stands in each body with the text as it is, but for escapes and case."""
    return max(_PLAIN.findall(forms[0]), key=len, default="")


_PLAIN = re.compile(r"[ !#-\[\]-~]+")  # ASCII without the quote and the backslash, which JSON escapes


def searchable(body: str) -> str:
    """A JSON body without regard to case, with letters in place of their escapes: Go writes `&` as one."""
    return (_ESCAPES.sub(_letters, body) if "\\u" in body else body).casefold()


_ESCAPES = re.compile(r"\\\\|(?:\\u[0-9a-fA-F]{4})+")  # an escaped backslash: the text after it is no escape


def _letters(found: re.Match[str]) -> str:
    escape = found[0]
    return escape if escape == "\\\\" else str(json.loads(f'"{escape}"'))


def _condition(connection: Connection, member: str, values: Sequence[str]) -> Condition:
    wanted = [value for value in map(normalized, values) if value is not None]
    if member in {PERSON, "user"}:
        columns = _PERSON_COLUMNS if member == PERSON else ("user_id",)
        return Condition(columns, tuple(_user_ids(connection, wanted)))
    return Condition((f"{member}_id",), tuple(dictionary.find_ids(connection, MEMBERS[member], wanted)))


def _user_ids(connection: Connection, values: Sequence[str]) -> list[int]:
    """By id; values that are no id of an event are addresses or names, which costs a look at every user."""
    ids = dictionary.find_ids(connection, Kind.ENTITY, values)
    if len(ids) == len(values):
        return ids
    lower = [value.lower() for value in values]
    named = select(_names.c.user_id).where(or_(func.lower(_names.c.email).in_(lower), _names.c.name.in_(values)))
    return sorted({*ids, *connection.scalars(named)})


def _stream_ids(connection: Connection, query: SearchQuery) -> list[int]:
    streams = select(_streams.c.id).join(_sources, _streams.c.source_id == _sources.c.id)
    if query.sources:
        streams = streams.where(_sources.c.name.in_(query.sources) | _sources.c.id.in_(query.sources))
    if query.apis:
        streams = streams.where(_streams.c.api.in_(query.apis))
    return sorted(connection.scalars(streams))
