"""Renders the console's templates. Everything is escaped: names and events are text of others."""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from blocks import clock
from deployments.console import calendar_chart, shapes
from deployments.disk_space import format_bytes
from deployments.terminal_output import format_rfc3339

WEEK_DAYS = 7
TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **context: Any) -> str:
    """The text of a template in `templates/`."""
    return _environment().get_template(template).render(**context)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_controls,
    )
    environment.filters.update(
        time=time_element,
        age=age_element,
        span=clock.format_span,
        number=number,
        segment=lambda text: quote(str(text), safe=""),
        query=query_string,
        visible=visible,
        exact=exact,
        days_left=days_left,
        iso=format_rfc3339,
        bytes=format_bytes,
    )
    environment.globals.update(shapes=shapes, charts=calendar_chart, now_ns=clock.now_ns)
    return environment


def time_element(ns: int | None, unit: str = "second") -> Markup:
    """A time in UTC. The page's script adds the local time, which shows on hover."""
    if ns is None:
        return Markup("<span class=none>never</span>")
    iso = format_rfc3339(ns) or ""
    whole = iso.replace("T", " ")[:19]
    shown = {"second": whole, "minute": whole[:16], "day": whole[:10], "clock": whole[11:]}[unit]
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(iso, whole, shown)


def age_element(ns: int | None) -> Markup:
    """How long ago something was. The time itself shows on hover."""
    if ns is None:
        return Markup("<span class=none>never</span>")
    iso = format_rfc3339(ns) or ""
    return Markup('<time datetime="{}" title="{} UTC">{} ago</time>').format(
        iso, iso[:19].replace("T", " "), clock.format_age(ns)
    )


def number(value: float | None) -> str:
    """A number with separators; a dash for none."""
    return "\N{EN DASH}" if value is None else f"{value:,}"


def query_string(parameters: dict[str, Any]) -> str:
    """`?a=b` of the parameters that have a value."""
    kept = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    return f"?{urlencode(kept, doseq=True)}" if kept else ""


def visible(text: object) -> Markup:
    """Text of others, escaped, with a sign for each character that cannot be seen or that turns the line around."""
    return escape(_printable(str(text)))


def exact(text: object) -> Markup:
    """Text for a hidden input, which sends it back as it is: characters that cannot be seen stand as references.

    HTML has no references for control characters, so these are lost.
    """
    return Markup("").join(map(_reference, str(text)))


def _reference(character: str) -> Markup:
    if character.isprintable():
        return escape(character)
    is_control = unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t"
    if is_control:
        return Markup("\N{REPLACEMENT CHARACTER}")
    return Markup("&#{};").format(ord(character))


def _without_controls(value: object) -> object:
    """What every expression of a template passes: `visible`, also where a template forgets it."""
    return _printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


def days_left(ns: int) -> Markup:
    """The days until a time, marked where there are few."""
    left = (ns - clock.now_ns()) / 86_400e9
    kind = "bad-text" if left < WEEK_DAYS else "warn-text" if left < 2 * WEEK_DAYS else ""
    text = "expired" if left < 0 else f"{left:.0f} d"
    return Markup('<span class="{}" title="The token expires {} UTC">{}</span>').format(
        kind, (format_rfc3339(ns) or "")[:16].replace("T", " "), text
    )
