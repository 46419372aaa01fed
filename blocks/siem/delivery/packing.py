"""gzip, as nearly every SIEM takes it.

By ISA-L: measured on raw, ECS and OCSF it takes a sixth to a quarter of zlib's time at its quickest, and as many bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable

LEVEL = 1
_GZIP = 16 + isal_zlib.MAX_WBITS


def gzip_bytes(content: bytes) -> bytes:
    """The content as gzip, the same bytes whenever it is made: there is no time in it."""
    packer = isal_zlib.compressobj(LEVEL, wbits=_GZIP)
    return packer.compress(content) + packer.flush()


def gzip_parts(parts: Iterable[bytes]) -> bytes:
    """The same of content that is never there as a whole."""
    packer = isal_zlib.compressobj(LEVEL, wbits=_GZIP)
    packed = [packer.compress(part) for part in parts]
    return b"".join([*packed, packer.flush()])
