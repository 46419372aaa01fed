"""Heads of the hash chains: up to where each chain of a source had grown at a time, in one line to keep elsewhere.

A store whose chains were made anew does not lead to a head that was taken before (see `proof`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import text
from whenever import Instant

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store.engine import reading, store_errors
from blocks.store.integrity.chain import ORIGIN

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row

HINT = "A head is a line that `onepassword-source verify NAME --print-checkpoint` has printed."


class ChainHead(msgspec.Struct, frozen=True):
    """Up to where one chain has grown: its newest link, and how many events of the API were stored by then.

    `digest` is in hexadecimal digits, `committed` in RFC 3339; before the first link, they are the origin and None.
    """

    link: int
    digest: str
    events: int
    committed: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """The heads of one source, by API, and when they were taken (RFC 3339)."""

    source: str
    source_id: str
    time: str
    heads: dict[str, ChainHead]

    def line(self) -> str:
        """In ASCII: nothing in it can break a line or drive a terminal."""
        return json.dumps(msgspec.to_builtins(self))


@dataclass(frozen=True, slots=True)
class ChainedSource:
    """A source with chains: its id, its name, and its APIs that have a stream."""

    id: str
    name: str
    apis: tuple[str, ...]


_HEADS = text(
    "SELECT s.name, t.api, t.link, t.link_digest, t.events + t.pruned AS events, c.committed_ns "
    "FROM sources s JOIN streams t ON t.source_id = s.id "
    "LEFT JOIN chain c ON c.stream_id = t.id AND c.number = t.link WHERE s.id = :id ORDER BY t.id"
)
_SOURCES = text(
    "SELECT s.id, s.name, t.api FROM sources s JOIN streams t ON t.source_id = s.id "
    "WHERE s.name = :name OR s.id = :name ORDER BY t.id"
)
_line = msgspec.json.Decoder(Checkpoint)


def find(engine: Engine, name: str) -> ChainedSource:
    """The source of that name, or else of that id, deleted or not. Raises ThirdPartyConfigError where none is."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_SOURCES, {"name": name}).all()
    rows = [row for row in rows if row.name == name] or rows
    if not rows:
        raise ThirdPartyConfigError(
            f"There is no source named {name!r} in the store.",
            hint="`onepassword-source list` shows those there are, deleted ones too.",
            code="unknown-source",
        )
    return ChainedSource(rows[0].id, rows[0].name, tuple(row.api for row in rows))


def current(engine: Engine, source_id: str, apis: tuple[str, ...] = ()) -> Checkpoint | None:
    """The heads of a source now, of all its APIs or of some: one cheap read. None where there is no such source."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_HEADS, {"id": source_id}).all()
    if not rows:
        return None
    taken = Instant.from_timestamp(clock.now_ns(), unit="nanosecond").format_iso()
    return Checkpoint(
        rows[0].name, source_id, taken, {row.api: _head(row) for row in rows if not apis or row.api in apis}
    )


def parse(lines: str) -> list[Checkpoint]:
    """Heads, one in each line that is not empty; what a log has put before the first brace is passed over.

    Raises ThirdPartyConfigError where a line holds none, or all are empty.
    """
    found = [_parsed(number, line) for number, line in enumerate(lines.splitlines(), 1) if line.strip()]
    if not found:
        raise ThirdPartyConfigError("--checkpoints: there is no head in it.", hint=HINT, code="head")
    return found


def _parsed(number: int, line: str) -> Checkpoint:
    try:
        heads = _line.decode(line[max(line.find("{"), 0) :])
        for head in heads.heads.values():
            bytes.fromhex(head.digest)
    except ValueError:  # msgspec's errors too; what it would quote stays out
        raise ThirdPartyConfigError(f"--checkpoints: line {number} is no head.", hint=HINT, code="head") from None
    return heads


def _head(row: Row[Any]) -> ChainHead:
    # SQLite takes anything in any column, and a run must not fail for what `verify` finds
    digest = row.link_digest if isinstance(row.link_digest, bytes) else b"" if row.link_digest else ORIGIN
    at_ns = row.committed_ns if isinstance(row.committed_ns, int) else None
    committed = None if at_ns is None else Instant.from_timestamp(at_ns, unit="nanosecond").format_iso()
    return ChainHead(row.link, digest.hex(), row.events, committed)
