"""The texts behind the numbers of the index, and the names of those texts that are ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, text

from blocks.store import names
from blocks.store.engine import reading, store_errors
from blocks.store.search import dictionary
from blocks.store.search.members import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Engine

GONE = "\N{EN DASH}"
"""What stands for a number whose value was removed with its last event."""
_BATCH = 500
_VALUES = text("SELECT id, value FROM index_values WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_PEOPLE = text(
    "SELECT v.value AS uuid, n.name, n.email FROM user_names n JOIN index_values v ON v.id = n.user_id "
    "WHERE v.value IN :uuids"
).bindparams(bindparam("uuids", expanding=True))


class KnownName(NamedTuple):
    """What people call an object: its name, and the e-mail address of a user. One of them may be missing."""

    name: str | None
    email: str | None = None

    @property
    def text(self) -> str:
        return self.name or self.email or ""


def read_values(engine: Engine, ids: Iterable[int]) -> dict[int, str]:
    """The texts of these numbers. A number without a text is left out."""
    with store_errors(), reading(engine).connect() as connection:
        return {
            row.id: row.value
            for some in _batches(sorted(set(ids)))
            for row in connection.execute(_VALUES, {"ids": some})
        }


def read_numbers(engine: Engine, action: str) -> set[int]:
    """The number of an action; none if no event has it."""
    with store_errors(), reading(engine).connect() as connection:
        return set(dictionary.find_ids(connection, Kind.ACTION, [action]))


def known_names(engine: Engine, uuids: Iterable[str]) -> Mapping[str, KnownName]:
    """The names of ids: those that were imported, and those of users as events have them."""
    wanted = sorted(set(uuids))
    with store_errors(), reading(engine).connect() as connection:
        found = {
            row.uuid: KnownName(row.name, row.email)
            for some in _batches(wanted)
            for row in connection.execute(_PEOPLE, {"uuids": some})
        }
    for uuid, name in names.name_by_uuid(engine, wanted).items():
        own = found.get(uuid, KnownName(None))
        found[uuid] = KnownName(own.name or name, own.email)  # an event is newer than most imports
    return found


def _batches(values: Sequence[int] | Sequence[str]) -> Iterator[Sequence[int] | Sequence[str]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
