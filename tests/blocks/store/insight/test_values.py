"""Texts of numbers, and names of ids, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.indexed_events import ANA, BO, indexed

from blocks.config.name_file import NamedObject
from blocks.store import names
from blocks.store.insight import values
from blocks.store.insight.values import KnownName, known_names, read_numbers, read_values

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_numbers_and_texts_lead_to_each_other(filled: Engine) -> None:
    (number,) = read_numbers(filled, "reveal")
    assert read_values(filled, [number, number, 999_999]) == {number: "reveal"}
    assert read_numbers(filled, "moon") == set()
    assert read_values(filled, []) == {}
    assert len(indexed(filled)) == 2


def test_names_of_users_come_from_events_and_others_are_imported(
    filled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "_BATCH", 1)
    names.save(
        filled, [NamedObject("vault1", "vault", "Payroll"), NamedObject("ANA", "user", "Ana of old", None, "old@x")]
    )
    found = known_names(filled, ["ANA", "BO", "vault1", "nothing", "ANA"])
    assert found == {
        "ANA": KnownName(ANA["name"], ANA["email"]),
        "BO": KnownName(BO["name"], BO["email"]),
        "vault1": KnownName("Payroll"),
    }


def test_a_name_is_the_name_or_the_address() -> None:
    assert KnownName("Ana", "ana@example.org").text == "Ana"
    assert KnownName(None, "ana@example.org").text == "ana@example.org"
    assert KnownName(None).text == ""
