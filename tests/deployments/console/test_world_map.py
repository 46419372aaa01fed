"""The drawing of the world, and which of its countries an event means."""

from __future__ import annotations

import re

import pytest

from blocks.store.insight.figures import Country
from deployments.console import world_map

SIZE_MAX = 150_000  # bytes


@pytest.mark.parametrize(
    ("country", "code"),
    [("FR", "FR"), ("fr", "FR"), ("France", "FR"), ("CANADA", "CA"), ("USA", "US"), ("SG", "SG"), ("Atlantis", None)],
)
def test_a_country_is_found_by_code_and_by_name(country: str, code: str | None) -> None:
    assert world_map.country_code(country) == code


def test_a_code_has_a_name_and_any_other_text_stays() -> None:
    assert world_map.country_name("NZ") == "New Zealand"
    assert world_map.country_name("<b>") == "<b>"


def test_codes_and_names_of_one_country_are_together() -> None:
    found = [Country("FR", 3, 0, False), Country("France", 2, 1, False), Country("Atlantis", 1, 0, True)]
    assert world_map.by_country(found) == {"FR": found[:2], "Atlantis": found[2:]}


def test_the_level_rises_with_the_events() -> None:
    levels = [world_map.level(events, 10_000) for events in (1, 10, 100, 1000, 10_000)]
    assert levels == [1, 2, 3, 4, 5]
    assert world_map.level(1, 1) == world_map.LEVELS


def test_the_drawing_is_small_and_has_paths_alone() -> None:
    data = world_map.FILE.read_bytes()
    assert len(data) < SIZE_MAX
    assert set(re.findall(rb"<(\w+)", data)) == {b"svg", b"g", b"path", b"circle"}
    attributes = {b"xmlns", b"viewBox", b"fill", b"fill-opacity", b"id", b"data-name", b"d", b"cx", b"cy", b"r"}
    assert set(re.findall(rb'([\w-]+)="', data)) == attributes
    assert len(world_map.country_names()) > 230


def test_a_shape_is_that_of_the_drawing_without_its_name() -> None:
    assert world_map.shapes().keys() == world_map.country_names().keys()
    assert re.fullmatch(r'<path d="M[MLZ\d. ]+"/>', world_map.shapes()["NZ"])
    assert re.fullmatch(r'<circle cx="[\d.]+" cy="[\d.]+" r="3"/>', world_map.shapes()["SG"])
