"""An address is a search, and a search is an address."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import parse_qs

import pytest
from starlette.datastructures import QueryParams
from support.moving_clock import MovingClock

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store.search.query import EARLIEST_NS, LATEST_NS, Position
from deployments.console.event_address import TEXT_MAX, VALUE_MAX, VALUES_MAX, EventAddress, position_text
from deployments.console.templates import query_string

DAY = 86_400 * 10**9


class FakeRequest:
    """The parameters of a request."""

    def __init__(self, query: str) -> None:
        self._parameters = QueryParams(query)

    def query(self, name: str, default: str = "") -> str:
        return self._parameters.get(name, default)

    def queries(self, name: str) -> list[str]:
        return self._parameters.getlist(name)


def address(query: str) -> EventAddress:
    return EventAddress.of(cast("Any", FakeRequest(query)))


@pytest.mark.parametrize(
    "query",
    ["last=7d", "last=all&user=A&user=B&action=grant", "from=2026-01-01&to=1d", "last=24h&q=a%26b&failed=yes"],
)
def test_the_parameters_are_the_address_again(query: str) -> None:
    own = query_string(address(query).parameters)
    assert address(own.removeprefix("?")) == address(query)
    assert parse_qs(own.removeprefix("?")) == parse_qs(query)


def test_filters_are_added_once_and_removed() -> None:
    own = address("last=7d&user=A&q=x")
    assert own.adding("user", "B")["user"] == ["A", "B"]
    assert own.adding("user", "A")["user"] == ["A"]
    assert own.adding("q", "y")["q"] == "y"
    assert query_string(own.removing("user", "A")) == "?last=7d&q=x"


def test_a_preset_replaces_a_range_and_a_range_a_preset() -> None:
    assert query_string(address("from=1d&user=A").with_last("30d")) == "?user=A&last=30d"
    found = query_string(address("last=7d&user=A").with_times(0, DAY))
    assert found == "?user=A&from=1970-01-01T00%3A00%3A00Z&to=1970-01-02T00%3A00%3A00Z"


def test_times_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    now_ns = clock.now_ns()
    assert address("last=24h").span() == (now_ns - DAY, now_ns)
    assert address("last=all").span() == (EARLIEST_NS, LATEST_NS)
    assert address("").span() == (now_ns - 7 * DAY, now_ns)
    assert address("from=1970-01-02&to=1970-01-03T00:00").span() == (DAY, 2 * DAY)
    assert address("from=1970-01-02T00:00:00.5").span() == (DAY + 5 * 10**8, LATEST_NS)
    with pytest.raises(ThirdPartyConfigError, match="'soon' is not a time"):
        address("from=soon").span()


def test_what_no_event_can_have_is_cut() -> None:
    own = address("&".join(f"user={'x' * 500}{n}" for n in range(50)) + f"&user=&user=%20&q={'y' * 999}&failed=maybe")
    assert own.filters == {"user": ("x" * VALUE_MAX,)}
    assert (len(own.text), own.failed) == (TEXT_MAX, "")
    assert len(address("&".join(f"ip={n}" for n in range(99))).filters["ip"]) == VALUES_MAX


@pytest.mark.parametrize("position", [Position(-5, 3), Position(2**62, 1)])
def test_a_position_is_a_parameter(position: Position) -> None:
    assert address(f"after={position_text(position)}").position == position
    assert address("after=x").position is None
    assert address("").position is None
    assert position_text(None) == ""
