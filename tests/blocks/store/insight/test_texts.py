"""Texts of numbers, read when they are shown, and the largest counts first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store.insight.texts import Texts, largest
from blocks.store.insight.values import GONE, read_numbers

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_texts_are_read_when_they_are_shown(filled: Engine) -> None:
    (number,) = read_numbers(filled, "reveal")
    texts = Texts(filled, [])
    assert texts.of(number) == GONE
    assert texts.of_each([number, 0, 999_999]) == ["reveal", "", GONE]
    assert texts.of(number) == "reveal"
    assert [(one.value, one.events) for one in texts.figures({number: 3, 0: 5})] == [("", 5), ("reveal", 3)]
    assert texts.number("grant") == read_numbers(filled, "grant")


def test_the_largest_come_first_and_equal_ones_by_their_number() -> None:
    assert largest({3: 1, 1: 1, 2: 9}, 2) == [(2, 9), (1, 1)]
    assert largest({3: 1, 1: 1}, None) == [(1, 1), (3, 1)]
