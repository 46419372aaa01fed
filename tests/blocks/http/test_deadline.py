"""One deadline and one bound in bytes for a whole exchange, by a clock that the test moves."""

from __future__ import annotations

from typing import Any

import httpcore
import pytest

from blocks.http import deadline
from blocks.http.deadline import ExchangeLimits


class Steady:
    """A clock of seconds."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    clock = Steady()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


@pytest.fixture
def limits(steady: Steady) -> ExchangeLimits:
    made = ExchangeLimits()
    made.start(10, 100)
    return made


def test_a_wait_takes_its_own_time_or_what_is_left(limits: ExchangeLimits, steady: Steady) -> None:
    assert (limits.bound(3), limits.bound(None)) == (3, 10)
    steady.now += 8
    assert (limits.bound(3), limits.bound(None), limits.is_over) == (2, 2, False)
    steady.now += 2
    assert limits.is_over
    with pytest.raises(httpcore.ReadTimeout):
        limits.bound(3)


def test_a_deadline_moves_forward_and_never_back(limits: ExchangeLimits) -> None:
    limits.shorten(60)
    assert limits.bound(None) == 10
    limits.shorten(4)
    assert limits.bound(None) == 4


def test_too_many_bytes_in_all_are_an_error_until_the_next_exchange(limits: ExchangeLimits) -> None:
    limits.count(60)
    limits.count(40)
    assert not limits.is_flooded
    with pytest.raises(httpcore.ReadError):
        limits.count(1)
    assert limits.is_flooded
    limits.start(10, 1)
    assert not limits.is_flooded
    limits.count(1)


class Stream(httpcore.NetworkStream):
    """Delivers what it has, and keeps what it is given, with the time of each wait."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.written: list[bytes] = []
        self.timeouts: list[float | None] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.timeouts.append(timeout)
        data, self.content = self.content[:max_bytes], self.content[max_bytes:]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.timeouts.append(timeout)
        self.written.append(buffer)

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002 - it has none
        return None

    def close(self) -> None:
        self.written.append(b"closed")


def test_a_stream_counts_what_it_reads(limits: ExchangeLimits) -> None:
    stream = deadline._Stream(Stream(b"x" * 200), limits)
    assert stream.read(60, 3) == b"x" * 60
    with pytest.raises(httpcore.ReadError):
        stream.read(60, 3)


def test_a_long_write_is_bounded_part_by_part(limits: ExchangeLimits) -> None:
    inner = Stream()
    stream = deadline._Stream(inner, limits)
    content = bytes(range(256)) * 160  # 40 KiB
    stream.write(content, 60)
    assert [len(part) for part in inner.written] == [16_384, 16_384, 8192]
    assert b"".join(inner.written) == content
    assert inner.timeouts == [10, 10, 10]
    stream.close()
    assert inner.written[-1] == b"closed"


class Backend(httpcore.NetworkBackend):
    """Takes a connection to the addresses in `open`."""

    def __init__(self, *open_addresses: str) -> None:
        self.open = open_addresses
        self.tried: list[str] = []

    def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.tried.append(host)
        if host not in self.open:
            raise httpcore.ConnectError(host)
        return Stream(b"hello")


def test_the_next_address_is_tried_and_the_last_error_is_raised(
    limits: ExchangeLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [(2, 1, 6, "", (f"192.0.2.{n}", 443)) for n in (1, 1, 2, 3)]
    monkeypatch.setattr(deadline.socket, "getaddrinfo", lambda *_, **__: addresses)
    backend = Backend("192.0.2.2")
    stream = deadline._Network(backend, limits).connect_tcp("example.com", 443)
    assert (backend.tried, stream.read(5)) == (["192.0.2.1", "192.0.2.2"], b"hello")
    closed = Backend()
    with pytest.raises(httpcore.ConnectError, match=r"192\.0\.2\.3"):
        deadline._Network(closed, limits).connect_tcp("example.com", 443)


def test_a_name_that_cannot_be_one_is_a_connection_error(limits: ExchangeLimits) -> None:
    with pytest.raises(httpcore.ConnectError):
        deadline._Network(Backend(), limits).connect_tcp("a" * 70 + ".example", 443)
