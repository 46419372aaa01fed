"""Compare a store with checkpoints that were saved outside of it: a rewritten chain does not match them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.store.integrity.links import events_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blocks.store.integrity.checkpoints import ChainHead, Checkpoint
    from blocks.store.integrity.verification import ChainReport

MATCHES = "leads"
OTHER_SOURCE, UNKNOWN_API, SHORTER, REWRITTEN, DAMAGED, COUNT = (
    "other source",
    "unknown API",
    "shorter",
    "rewritten",
    "damaged",
    "other count",
)


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """The result for one API of a checkpoint: its time (RFC 3339), MATCHES or the problem, and a sentence."""

    time: str
    api: str
    link: int
    verdict: str
    sentence: str

    @property
    def leads(self) -> bool:
        return self.verdict == MATCHES


def links_of(heads: Iterable[Checkpoint]) -> dict[str, set[int]]:
    """The links, by API, whose digests the walk must report (see `verification.verify`)."""
    links: dict[str, set[int]] = {}
    for one in heads:
        for api, head in one.heads.items():
            links.setdefault(api, set()).add(head.link)
    return links


def compare(
    heads: Iterable[Checkpoint], source_id: str, proofs: Sequence[ChainReport], apis: Sequence[str] = ()
) -> list[CheckpointResult]:
    """Compare the reports of a source with each checkpoint, for all APIs or for some."""
    found = {proof.api: proof for proof in proofs}
    return [
        CheckpointResult(one.time, api, head.link, *_compared(one, head, source_id, found.get(api)))
        for one in heads
        for api, head in one.heads.items()
        if not apis or api in apis
    ]


def _compared(heads: Checkpoint, head: ChainHead, source_id: str, proof: ChainReport | None) -> tuple[str, str]:
    if heads.source_id != source_id:
        return OTHER_SOURCE, f"It is a checkpoint of another source, with the id {heads.source_id}."
    if proof is None:
        return UNKNOWN_API, "The store has no chain of this API."
    reached = proof.reached.get(head.link)
    if reached is None:
        return SHORTER, f"The store does not have this link; the newest there is {proof.newest:,}. Links were removed."
    if reached.digest.hex() != head.digest.lower():
        return REWRITTEN, "The store has another digest of this link: it, or a link before it, was rewritten."
    if reached.damaged:
        return DAMAGED, "The store has the digest of this link, but what led to it is damaged."
    if reached.events != head.events:
        there, then = events_of(reached.events), events_of(head.events)
        return (
            COUNT,
            f"There are {there} up to this link, and there were {then}: the rest stood before the chain began.",
        )
    return MATCHES, "The store leads to it."
