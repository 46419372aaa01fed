"""Proves that a copy of a store is the store: its hash chains lead to the heads of the original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.store.integrity import checkpoints, verification

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from blocks.store.integrity.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class SourceProof:
    """The result for one source: how many events its links cover, and a sentence for each problem."""

    source: str
    events: int
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


def prove(
    engine: Engine, saved: Sequence[Checkpoint], advance: Callable[[int], object] = lambda _: None
) -> list[SourceProof]:
    """Walk the chains of each source and compare them with its checkpoint. `advance`: numbers of events."""
    return [_prove(engine, one, advance) for one in saved]


def _prove(engine: Engine, saved: Checkpoint, advance: Callable[[int], object]) -> SourceProof:
    reports = verification.verify(engine, saved.source_id, (), checkpoints.links_of([saved]), advance)
    damaged = [f"{one.api}: {one.first.sentence}" for one in reports if one.first is not None]
    compared = checkpoints.compare([saved], saved.source_id, reports)
    differing = [f"{one.api}: {one.sentence}" for one in compared if not one.matches]
    return SourceProof(saved.source, sum(one.events + one.pruned for one in reports), (*damaged, *differing))
