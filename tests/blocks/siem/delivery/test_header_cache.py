"""The header cache makes a value once for each stream, event id and account, and never mixes two of them."""

from __future__ import annotations

import support.siems as support

from blocks.events_api.models import Api
from blocks.siem.delivery import header_cache
from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.formats.event import FormattedEvent


def formatted(stream: object, event_id: str = "audit-join", account: str | None = "A") -> FormattedEvent:
    return FormattedEvent(support.event(Api.AUDIT), stream, "raw", b"{}", event_id, account)  # type: ignore[arg-type]


def counting() -> tuple[HeaderCache[str], list[str]]:
    made: list[str] = []

    def make(event: FormattedEvent) -> str:
        made.append(f"{event.stream.source} {event.event_id} {event.account}")
        return made[-1]

    return HeaderCache(make), made


def test_a_value_is_made_once_for_each_kind_of_event() -> None:
    cache, made = counting()
    stream = support.stream(Api.AUDIT)
    assert {cache.get(formatted(stream)) for _ in range(3)} == {f"{stream.source} audit-join A"}
    assert len(made) == 1


def test_the_stream_the_event_id_and_the_account_each_have_a_value_of_their_own() -> None:
    cache, _ = counting()
    one, other = support.stream(Api.AUDIT, source="one"), support.stream(Api.AUDIT, source="other")
    kinds = [(one, "x", "A"), (other, "x", "A"), (one, "y", "A"), (one, "x", "B"), (one, "x", None)]
    values = [cache.get(formatted(*kind)) for kind in kinds]
    assert values == ["one x A", "other x A", "one y A", "one x B", "one x None"]


def test_two_streams_with_equal_settings_are_not_one() -> None:
    cache, made = counting()
    for _ in range(2):
        cache.get(formatted(support.stream(Api.AUDIT)))
    assert len(made) == 2


def test_the_cache_is_bounded_and_keeps_giving_right_values() -> None:
    cache, made = counting()
    stream = support.stream(Api.AUDIT, source="s")
    for number in range(header_cache.CACHE_SIZE * 2):
        assert cache.get(formatted(stream, f"e{number}")) == f"s e{number} A"
    assert len(made) == header_cache.CACHE_SIZE * 2
    assert len(cache._values) <= header_cache.CACHE_SIZE
