"""The world map of the console: which country of the drawing an event's country is, and how strongly it is filled."""

from __future__ import annotations

import functools
import html
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blocks.store.insight.figures import Country

FILE = Path(__file__).parent / "static" / "world.svg"
LEVELS = 5
OTHER_NAMES = {
    "usa": "US",
    "uk": "GB",
    "great britain": "GB",
    "south korea": "KR",
    "north korea": "KP",
    "russia": "RU",
    "turkey": "TR",
    "czech republic": "CZ",
    "ivory coast": "CI",
    "the netherlands": "NL",
}
"""Names that events may have and the drawing does not."""
_ELEMENT = re.compile(r'<(path|circle) id="([A-Z]{2})" data-name="([^"]+)" ([^>]*)/>')


def by_country(countries: Iterable[Country]) -> dict[str, list[Country]]:
    """Countries by the code that the map has for them; one that it does not have is by itself."""
    found: dict[str, list[Country]] = {}
    for country in countries:
        found.setdefault(country_code(country.value) or country.value, []).append(country)
    return found


def level(events: int, largest: int) -> int:
    """How strongly a country is filled: 1 to LEVELS, on a scale of powers."""
    return max(1, math.ceil(LEVELS * math.log1p(events) / math.log1p(max(largest, 1))))


def country_code(country: str) -> str | None:
    """The code of a country that an event names by its code or its name; None if the map does not have it."""
    code = country.upper()
    return code if code in country_names() else _codes().get(country.casefold())


def country_name(country: str) -> str:
    """The name of a country by its code; any other text is returned as it is."""
    return country_names().get(country, country)


@functools.cache
def country_names() -> dict[str, str]:
    """The names of the map's countries by their codes (ISO 3166-1 alpha-2)."""
    return {code: html.unescape(name) for _, code, name, _ in _ELEMENT.findall(FILE.read_text())}


@functools.cache
def shapes() -> dict[str, Markup]:
    """The SVG elements of the map's countries by their codes. Our own file has them, so they are markup."""
    found = _ELEMENT.findall(FILE.read_text())
    return {code: Markup(f"<{kind} {form}/>") for kind, code, _, form in found}  # noqa: S704 - as above


@functools.cache
def _codes() -> dict[str, str]:
    return {**{name.casefold(): code for code, name in country_names().items()}, **OTHER_NAMES}
