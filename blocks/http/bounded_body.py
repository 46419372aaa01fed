"""The body of a response, unpacked and bounded. httpx unpacks what came all at once, however large it grows."""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY_MAX = 1024 * 1024  # bytes, unpacked; most answers are some words
ERROR_BODY_MAX = 16 * 1024  # bytes of the body beside a status that is clear by itself
_GZIP = 31  # zlib's number for a gzip header and the largest window
_PART_BYTES = 256 * 1024


class BodyTooLargeError(Exception):
    """A body has more bytes, unpacked, than it may have."""


def read_body(response: httpx.Response, body_max: int) -> bytes:
    """The body. Raises BodyTooLargeError as soon as it has more than `body_max` bytes, unpacked.

    Raises httpx.DecodingError where it is packed otherwise than with gzip, once, and to its end.
    """
    body = bytearray()
    for part in _parts(response):
        body += part
        if len(body) > body_max:
            raise BodyTooLargeError
    return bytes(body)


def read_beginning(response: httpx.Response, body_max: int) -> bytes:
    """As much of the body as can be read, at most `body_max` bytes: for an answer whose status is clear by itself."""
    body = bytearray()
    with suppress(httpx.HTTPError):
        for part in _parts(response):
            body += part
            if len(body) >= body_max:
                break
    return bytes(body[:body_max])


def _parts(response: httpx.Response) -> Iterator[bytes]:
    """The body as it comes, unpacked, in parts of bounded size. Raises httpx.DecodingError."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        yield from _unpacked(response)
    elif encoding == "identity":
        yield from response.iter_raw()
    else:
        raise httpx.DecodingError("It is packed in a way that was not requested.", request=response.request)


def _unpacked(response: httpx.Response) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        for chunk in response.iter_raw():
            part, left = unpacker.decompress(chunk, _PART_BYTES), unpacker.unconsumed_tail
            yield part
            while left or len(part) == _PART_BYTES:  # a full part: zlib may hold more, with nothing left to read
                part, left = unpacker.decompress(left, _PART_BYTES), unpacker.unconsumed_tail
                yield part
    except zlib.error as error:
        raise httpx.DecodingError(str(error), request=response.request) from error
    if response.num_bytes_downloaded and not unpacker.eof:
        raise httpx.DecodingError("It ends too early.", request=response.request)
