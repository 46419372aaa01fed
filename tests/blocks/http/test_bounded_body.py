"""A body is bounded as it comes: in bytes, unpacked, and to its end."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import httpx
import pytest

from blocks.http.bounded_body import BodyTooLargeError, read_beginning, read_body

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = httpx.Request("GET", "http://127.0.0.1/")


class Chunks(httpx.SyncByteStream):
    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size = data, size

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), self.size):
            yield self.data[at : at + self.size]


def response(data: bytes, encoding: str | None = None, size: int = 1000) -> httpx.Response:
    headers = {} if encoding is None else {"content-encoding": encoding}
    return httpx.Response(200, headers=headers, stream=Chunks(data, size), request=REQUEST)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_is_read_whole_packed_or_not(size: int) -> None:
    body = bytes(range(256)) * 40
    assert read_body(response(body, size=size), len(body)) == body
    assert read_body(response(gzip.compress(body), "gzip", size), len(body)) == body
    assert read_body(response(gzip.compress(body), " GZIP ", size), len(body)) == body


def test_one_byte_too_many_is_too_large_packed_or_not() -> None:
    body = b"a" * 5000
    for made in (response(body), response(gzip.compress(body), "gzip")):
        with pytest.raises(BodyTooLargeError):
            read_body(made, 4999)


def test_a_bomb_is_not_unpacked_beyond_its_bound() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            read_body(response(bomb, "gzip", len(bomb)), 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_another_encoding_is_an_error(encoding: str) -> None:
    with pytest.raises(httpx.DecodingError, match="not requested"):
        read_body(response(b"a", encoding), 10)


@pytest.mark.parametrize(
    "data", [gzip.compress(b"a" * 1000)[:-1], b"no gzip", zlib.compress(b"a")], ids=["cut", "plain", "zlib"]
)
def test_a_packed_body_that_is_cut_or_none_is_an_error(data: bytes) -> None:
    with pytest.raises(httpx.DecodingError):
        read_body(response(data, "gzip"), 10_000)


def test_an_empty_body_is_empty_whatever_its_encoding() -> None:
    assert read_body(response(b"", "gzip"), 0) == b""


def test_the_beginning_is_what_can_be_read_of_it() -> None:
    assert read_beginning(response(b"abcdef", size=2), 3) == b"abc"
    assert read_beginning(response(b"ab"), 3) == b"ab"
    assert read_beginning(response(gzip.compress(b"a" * 500)[:-4], "gzip"), 1000) == b"a" * 500
    assert read_beginning(response(b"a", "br"), 10) == b""
