"""The address of a search: `/console/events?last=7d&user=ana@example.org&action=reveal&q=text`.

Everything that a page of events shows hangs on its address, so that a search can be sent to a colleague. A parameter
that may be there several times (`user`, `action`, …) matches any of its values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from whenever import Instant

from blocks import clock
from blocks.durations import parse_time
from blocks.store.search.members import MEMBERS
from blocks.store.search.query import EARLIEST_NS, LATEST_NS, PERSON, Position, SearchQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployments.console.view import View

PRESETS = {"1h": "hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "120d": "120 days", "all": "all time"}
"""The values of `last`, and their words."""
DEFAULT = "7d"
LABELS = {
    "source": "source",
    "api": "API",
    PERSON: "person",
    "user": "user",
    "action": "action or category",
    "type": "type or object",
    "ip": "IP address",
    "country": "country",
    "client": "client",
    "version": "client version",
    "os": "system",
    "vault": "vault",
    "item": "item",
    "object": "object",
    "aux": "second object",
}
"""The parameters that filter by a value, and their words."""
VALUES_MAX, VALUE_MAX, TEXT_MAX = 20, 200, 200
_POSITION = re.compile(r"(-?\d{1,19})\.(\d{1,19})")


class Chip(NamedTuple):
    """A filter: the parameter, its words, the value, and the address without it."""

    name: str
    label: str
    value: str
    without: str


@dataclass(frozen=True)
class EventAddress:
    """A search as its address has it. Times are nanoseconds since 1970."""

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last: str = DEFAULT
    since: str = ""
    until: str = ""
    failed: str = ""
    text: str = ""
    after: str = ""

    @classmethod
    def of(cls, view: View) -> EventAddress:
        """Read the address of a request. Values that no event can have are cut."""
        given = {name: _values(view.queries(name)) for name in LABELS}
        since, until = view.query("from").strip(), view.query("to").strip()
        last = view.query("last", "" if since or until else DEFAULT)
        return cls(
            {name: values for name, values in given.items() if values},
            last if last in PRESETS else ("" if since or until else DEFAULT),
            since[:VALUE_MAX],
            until[:VALUE_MAX],
            view.query("failed") if view.query("failed") in {"yes", "no"} else "",
            view.query("q").strip()[:TEXT_MAX],
            view.query("after") if _POSITION.fullmatch(view.query("after")) else "",
        )

    def query(self) -> SearchQuery:
        """What to search for. Raises ThirdPartyConfigError if a time is not valid."""
        since_ns, until_ns = self.span()
        return SearchQuery(
            since_ns,
            until_ns,
            sources=self.filters.get("source", ()),
            apis=self.filters.get("api", ()),
            members={name: values for name, values in self.filters.items() if name in MEMBERS or name == PERSON},
            failed={"yes": True, "no": False}.get(self.failed),
            text=self.text,
        )

    def span(self) -> tuple[int, int]:
        """From which time to before which. Raises ThirdPartyConfigError if one is not valid."""
        now_ns = clock.now_ns()
        if self.last:
            return (EARLIEST_NS, LATEST_NS) if self.last == "all" else (parse_time(self.last, now_ns), now_ns)
        return (
            parse_time(_utc(self.since), now_ns) if self.since else EARLIEST_NS,
            parse_time(_utc(self.until), now_ns) if self.until else LATEST_NS,
        )

    @property
    def position(self) -> Position | None:
        """Where the page begins; None for the newest events."""
        found = _POSITION.fullmatch(self.after)
        return Position(int(found[1]), int(found[2])) if found else None

    @property
    def parameters(self) -> dict[str, str | list[str]]:
        """The parameters of the search, without its page."""
        given: dict[str, str | list[str]] = {name: list(values) for name, values in self.filters.items()}
        times = {"from": self.since, "to": self.until} if not self.last else {"last": self.last}
        others = {**times, "failed": self.failed, "q": self.text}
        return {**{name: value for name, value in others.items() if value}, **given}

    def adding(self, name: str, value: str) -> dict[str, str | list[str]]:
        """The parameters with another filter, or with another text."""
        parameters = self.parameters
        if name == "q":
            return {**parameters, "q": value}
        return {**parameters, name: [*dict.fromkeys([*self.filters.get(name, ()), value])]}

    def removing(self, name: str, value: str) -> dict[str, str | list[str]]:
        """The parameters without a filter."""
        kept = [one for one in self.filters.get(name, ()) if one != value]
        return {**self.parameters, name: kept}

    def with_times(self, since_ns: int, until_ns: int) -> dict[str, str | list[str]]:
        """The parameters with another span of time."""
        others = {name: value for name, value in self.parameters.items() if name != "last"}
        return {**others, "from": format_utc(since_ns), "to": format_utc(until_ns)}

    def with_last(self, last: str) -> dict[str, str | list[str]]:
        """The parameters with a preset."""
        others = {name: value for name, value in self.parameters.items() if name not in {"from", "to"}}
        return {**others, "last": last}


def position_text(position: Position | None) -> str:
    """A position as the parameter `after`."""
    return "" if position is None else f"{position.time_ns}.{position.event_id}"


def format_utc(ns: int) -> str:
    """A time as an address has it: RFC 3339 with as few digits as it needs."""
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso()


def _values(given: list[str]) -> tuple[str, ...]:
    cut = (value.strip()[:VALUE_MAX] for value in given)
    return tuple(dict.fromkeys(value for value in cut if value))[:VALUES_MAX]


def _utc(text: str) -> str:
    """A form's time has no zone; all times of the console are UTC."""
    return f"{text}:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) else _with_zone(text)


def _with_zone(text: str) -> str:
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", text) else text
