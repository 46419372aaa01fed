"""The texts of the numbers in counts, read as they are needed: there are many users and items, and a list shows ten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store.insight.day_counts import ABSENT
from blocks.store.insight.figures import Figure
from blocks.store.insight.values import GONE, read_numbers, read_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

    from blocks.store.insight.day_counts import Counts

TOP = 10
"""Entries of a list of users, addresses, vaults and so on."""


class Texts:
    """The texts of numbers: those of codes are read at once, others when they are in a list that is shown."""

    def __init__(self, engine: Engine, code_ids: Iterable[int]) -> None:
        self._engine = engine
        self._texts = read_values(engine, code_ids)

    def of(self, number: int) -> str:
        """The text of a number that was read; empty for an absent member."""
        return "" if number == ABSENT else self._texts.get(number, GONE)

    def figures(self, counts: Counts, most: int | None = TOP) -> list[Figure]:
        """The largest counts first, with their texts."""
        top = largest(counts, most)
        self._read(number for number, _ in top)
        return [Figure(self.of(number), events) for number, events in top]

    def of_each(self, numbers: Iterable[int]) -> list[str]:
        """The texts of entries that are shown."""
        wanted = list(numbers)
        self._read(wanted)
        return [self.of(number) for number in wanted]

    def number(self, action: str) -> set[int]:
        """The number of an action or a category; none if no event has it."""
        return read_numbers(self._engine, action)

    def _read(self, numbers: Iterable[int]) -> None:
        missing = [number for number in numbers if number not in self._texts and number != ABSENT]
        if missing:
            self._texts |= read_values(self._engine, missing)


def largest(counts: Counts, most: int | None) -> list[tuple[int, int]]:
    """The largest counts first; of equal ones, that whose value came first."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:most]
