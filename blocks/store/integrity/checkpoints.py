"""Checkpoints: the newest links of a source's hash chains at one time, in one line to keep outside of the store.

A store with rewritten chains does not match an earlier checkpoint (see `compare`).
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
from blocks.store.integrity.chain_reader import events_of
from blocks.store.integrity.digests import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.store.integrity.verification import ChainReport

HINT = "A checkpoint is a line that `onepassword-source verify NAME --print-checkpoint` has printed."
MATCHES = "leads"
OTHER_SOURCE, UNKNOWN_API, SHORTER, REWRITTEN, DAMAGED, COUNT = (
    "other source",
    "unknown API",
    "shorter",
    "rewritten",
    "damaged",
    "other count",
)


class CheckpointLink(msgspec.Struct, frozen=True):
    """The newest link of one chain, and how many events of the API were stored by then.

    `digest` is hexadecimal, `committed` is RFC 3339; before the first link they are the origin and None.
    """

    number: int = msgspec.field(name="link")
    digest: str
    events: int
    committed: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """The newest links of one source's chains, by API, and the time of the checkpoint (RFC 3339).

    Saved lines call the links `heads`.
    """

    source: str
    source_id: str
    time: str
    links: dict[str, CheckpointLink] = msgspec.field(name="heads")

    def line(self) -> str:
        """The checkpoint as one line of JSON in ASCII: nothing in it can break the line or control a terminal."""
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
    """The source of that name, or else of that id, deleted or not. Raises ThirdPartyConfigError if there is none."""
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
    """A checkpoint of a source now, of all its APIs or of some: one cheap read. None if there is no such source."""
    with store_errors(), reading(engine).connect() as connection:
        return current_within(connection, source_id, apis)


def current_within(connection: Connection, source_id: str, apis: tuple[str, ...] = ()) -> Checkpoint | None:
    """The same as a transaction sees it."""
    rows = connection.execute(_HEADS, {"id": source_id}).all()
    if not rows:
        return None
    taken = Instant.from_timestamp(clock.now_ns(), unit="nanosecond").format_iso()
    return Checkpoint(
        rows[0].name, source_id, taken, {row.api: _link(row) for row in rows if not apis or row.api in apis}
    )


def parse(lines: str) -> list[Checkpoint]:
    """Parse checkpoints, one in each line that is not empty; a log's prefix before the first brace is ignored.

    Raises ThirdPartyConfigError if a line holds none, or all are empty.
    """
    found = [_parsed(number, line) for number, line in enumerate(lines.splitlines(), 1) if line.strip()]
    if not found:
        raise ThirdPartyConfigError("--checkpoints: there is no checkpoint in it.", hint=HINT, code="checkpoint")
    return found


def _parsed(number: int, line: str) -> Checkpoint:
    try:
        checkpoint = _line.decode(line[max(line.find("{"), 0) :])
        for link in checkpoint.links.values():
            bytes.fromhex(link.digest)
    except ValueError:  # msgspec's errors too; its message would quote the input
        raise ThirdPartyConfigError(
            f"--checkpoints: line {number} is not a checkpoint.", hint=HINT, code="checkpoint"
        ) from None
    return checkpoint


def _link(row: Row[Any]) -> CheckpointLink:
    # SQLite stores any type in any column; a run must not fail on damage, which is for `verify` to report
    digest = row.link_digest if isinstance(row.link_digest, bytes) else b"" if row.link_digest else ORIGIN
    at_ns = row.committed_ns if isinstance(row.committed_ns, int) else None
    committed = None if at_ns is None else Instant.from_timestamp(at_ns, unit="nanosecond").format_iso()
    return CheckpointLink(row.link, digest.hex(), row.events, committed)


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """The result for one API of a checkpoint: its time (RFC 3339), MATCHES or the problem, and a sentence."""

    time: str
    api: str
    link: int
    verdict: str
    sentence: str

    @property
    def matches(self) -> bool:
        return self.verdict == MATCHES


def links_of(saved: Iterable[Checkpoint]) -> dict[str, set[int]]:
    """The links, by API, whose digests the walk must report (see `verification.verify`)."""
    links: dict[str, set[int]] = {}
    for checkpoint in saved:
        for api, link in checkpoint.links.items():
            links.setdefault(api, set()).add(link.number)
    return links


def compare(
    saved: Iterable[Checkpoint], source_id: str, proofs: Sequence[ChainReport], apis: Sequence[str] = ()
) -> list[CheckpointResult]:
    """Compare the reports of a source with each checkpoint, for all APIs or for some."""
    reports = {proof.api: proof for proof in proofs}
    return [
        CheckpointResult(checkpoint.time, api, link.number, *_compared(checkpoint, link, source_id, reports.get(api)))
        for checkpoint in saved
        for api, link in checkpoint.links.items()
        if not apis or api in apis
    ]


def _compared(
    checkpoint: Checkpoint, link: CheckpointLink, source_id: str, proof: ChainReport | None
) -> tuple[str, str]:
    if checkpoint.source_id != source_id:
        return OTHER_SOURCE, f"It is a checkpoint of another source, with the id {checkpoint.source_id}."
    if proof is None:
        return UNKNOWN_API, "The store has no chain of this API."
    reached = proof.reached.get(link.number)
    if reached is None:
        return SHORTER, f"The store does not have this link; the newest there is {proof.newest:,}. Links were removed."
    if reached.digest.hex() != link.digest.lower():
        return REWRITTEN, "The store has another digest of this link: it, or a link before it, was rewritten."
    if reached.damaged:
        return DAMAGED, "The store has the digest of this link, but what led to it is damaged."
    if reached.events != link.events:
        there, then = events_of(reached.events), events_of(link.events)
        return (
            COUNT,
            f"There are {there} up to this link, and there were {then}: the rest stood before the chain began.",
        )
    return MATCHES, "The store leads to it."
