"""Cursors: the position of a reader, its page size and its window. Opaque to the reader."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

from deployments.sandbox.vocabulary import APIS

FOREVER = 2**63 - 1
_LAYOUT = struct.Struct(">BBIQHqqI")
_CHECK = struct.Struct(">I")


@dataclass(frozen=True)
class CursorState:
    """The position of a reader in the arrivals of one API. Ns since 1970: `start_ns` inclusive, `end_ns` exclusive.

    `serial` only changes the text of the cursor: a fault that returns ever new cursors increments it.
    """

    version: int
    api: str
    position: int
    limit: int
    start_ns: int
    end_ns: int = FOREVER
    serial: int = 0


def write_cursor(place: CursorState, seed: int) -> str:
    """Base64url. A sandbox of another seed, another API or another version rejects it."""
    packed = _LAYOUT.pack(
        place.version,
        APIS.index(place.api),
        seed % 2**32,
        place.position,
        place.limit,
        place.start_ns,
        place.end_ns,
        place.serial,
    )
    sealed = packed + _CHECK.pack(zlib.crc32(packed))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def read_cursor(text: str, seed: int) -> CursorState | None:
    """None for a cursor that this sandbox has not written."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        packed, check = sealed[: _LAYOUT.size], sealed[_LAYOUT.size :]
        version, api, seal, position, limit, start_ns, end_ns, serial = _LAYOUT.unpack(packed)
    except (binascii.Error, struct.error, ValueError):
        return None
    if check != _CHECK.pack(zlib.crc32(packed)) or seal != seed % 2**32 or api >= len(APIS):
        return None
    return CursorState(version, APIS[api], position, limit, start_ns, end_ns, serial)
