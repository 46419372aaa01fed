"""The body of a response, unpacked and bounded. httpx unpacks what came all at once, however large it grows."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httpx

from blocks.events_api import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

_GZIP = 31  # zlib's number for a gzip header and the largest window


def read_body(response: httpx.Response, most: int) -> bytes:
    """The body. Raises ThirdPartyGenericError as soon as it has more than `most` bytes, unpacked.

    Raises httpx.DecodingError where it is packed otherwise than with gzip, once, and to its end.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        return _unpacked(response, most)
    if encoding != "identity":
        raise httpx.DecodingError("It is packed in a way that was not asked for.", request=response.request)
    return _collected(response, most, lambda chunk, _room: chunk)


def _unpacked(response: httpx.Response, most: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        body = _collected(response, most, unpacker.decompress)
    except zlib.error as error:
        raise httpx.DecodingError(str(error), request=response.request) from error
    if response.num_bytes_downloaded and not unpacker.eof:
        raise httpx.DecodingError("It ends too early.", request=response.request)
    return body


def _collected(response: httpx.Response, most: int, unpack: Callable[[bytes, int], bytes]) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += unpack(chunk, most + 1 - len(body))
        if len(body) > most:
            raise outcomes.too_large(most)
    return bytes(body)
