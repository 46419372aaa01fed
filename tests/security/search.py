"""Looks for planted secrets, or 24 characters of them: raw, encoded, escaped, packed, or encrypted with our key."""

from __future__ import annotations

import base64
import binascii
import bz2
import json
import lzma
import re
import sqlite3
import zlib
from contextlib import closing, suppress
from dataclasses import dataclass, field
from struct import iter_unpack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SHORTEST = 24
"""So many characters of a secret in a row are found wherever they stand; fewer may be."""
GRAM = 12  # any 24 in a row (23 would do) hold one that begins at a multiple of 12
DEEPEST = 4  # base64 in gzip in base64, and one more
UNPACKED_MAX = 64 * 1024 * 1024
SQLITE = b"SQLite format 3\0"
ZSTD = b"\x28\xb5\x2f\xfd"
DECRYPTED = "decrypted"

_PACKED: tuple[tuple[str, re.Pattern[bytes], Callable[[], Any]], ...] = (
    ("gzip", re.compile(rb"\x1f\x8b\x08"), lambda: zlib.decompressobj(31)),
    ("zlib", re.compile(rb"\x78[\x01\x5e\x9c\xda]"), zlib.decompressobj),
    ("bzip2", re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor),
    ("xz", re.compile(rb"\xfd7zXZ\x00"), lzma.LZMADecompressor),
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{32,}={0,2}")
_FERNET = re.compile(rb"gAAAAA[A-Za-z0-9_-]{90,}={0,2}")


@dataclass(frozen=True)
class Find:
    """The name of a secret that was found, where, and in which encodings: `base64`, `gzip`, …"""

    secret: str
    where: str
    how: tuple[str, ...]
    around: str = field(compare=False, default="")


def forms(text: str) -> set[bytes]:
    """All ways in which a text may be written down."""
    raw = text.encode()
    escaped = "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in text)
    shouted = re.sub(r"\\u....", lambda match: "\\u" + match[0][2:].upper(), escaped)
    in_json = {json.dumps(text)[1:-1], json.dumps(text)[1:-1].replace("/", "\\/"), escaped, shouted}
    in_json |= {json.dumps(one)[1:-1] for one in in_json}
    percent = quote(text, safe="")
    in_urls = {percent, re.sub(r"%..", lambda match: match[0].lower(), percent), quote(text), quote(percent, safe="")}
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), *_in_base64(raw)} | {
        one.encode() for one in in_json | in_urls
    }


def _in_base64(raw: bytes) -> Iterator[bytes]:
    for before, dropped in ((0, 0), (1, 2), (2, 3)):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + raw)[dropped:].rstrip(b"=")[:-1]


def _grams(text: str) -> set[bytes]:
    return {form[at : at + GRAM] for form in forms(text) for at in range(len(form) - GRAM + 1)}


class Search:
    """`secrets`: their names and texts. `common`: texts of which no part is a secret, such as another token of the
    same account. `key`: what is encrypted with it (Fernet) is read too.
    """

    def __init__(self, secrets: Mapping[str, str], common: Iterable[str] = (), key: str | None = None) -> None:
        public = {gram for text in common for gram in _grams(text)}
        self._grams = {gram: name for name, text in secrets.items() for gram in _grams(text) - public}
        self._pieces = {(gram,) for gram in self._grams}
        self._fernet = Fernet(key) if key else None

    def data(self, data: bytes, where: str, how: tuple[str, ...] = ()) -> Iterator[Find]:
        """What is found in bytes, once for each secret."""
        found = set()
        for at in self._places(data):
            name = self._grams[data[at : at + GRAM]]
            if name not in found:
                found.add(name)
                yield Find(name, where, how, repr(data[max(at - 80, 0) : at + 80]))
        if len(how) < DEEPEST:
            for kind, inner in self._unpacked(data):
                yield from self.data(inner, where, (*how, kind))

    def _places(self, data: bytes) -> list[int]:
        """The multiples of GRAM at which a part of a secret stands. Most data has none, which one call in C finds."""
        pieces = iter_unpack(f"{GRAM}s", memoryview(data)[: len(data) // GRAM * GRAM])
        if self._pieces.isdisjoint(pieces):
            return []
        return [at for at in range(0, len(data), GRAM) if data[at : at + GRAM] in self._grams]

    def tree(self, directory: Path) -> Iterator[Find]:
        """Every file below, byte by byte; of databases each cell as well, since a page may cut a text in two."""
        for path in sorted(directory.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield from self.file(path, str(path.relative_to(directory)))

    def file(self, path: Path, where: str) -> Iterator[Find]:
        with suppress(FileNotFoundError):  # of those that a running process has removed meanwhile
            data = path.read_bytes()
            yield from self.data(where.encode(), f"the name of {where}")
            yield from self.data(data, where)
            if data.startswith(SQLITE):
                yield from self.database(path, where)

    def database(self, path: Path, where: str) -> Iterator[Find]:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            database.text_factory = bytes
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for name in (row[0].decode() for row in names):
                with suppress(sqlite3.OperationalError):  # a virtual table without its module
                    for row in database.execute(f'SELECT * FROM "{name}"'):
                        cells = b"\0".join(cell for cell in row if isinstance(cell, bytes))
                        yield from self.data(cells, f"{where}, table {name}")

    def _unpacked(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        assert not data.startswith(ZSTD), "packed with zstd, which this search cannot read"
        for kind, start, opened in _PACKED:
            for match in start.finditer(data):
                if inner := _inflated(opened(), memoryview(data)[match.start() :]):
                    yield kind, inner
        for match in _BASE64.finditer(data):
            with suppress(binascii.Error):
                yield "base64", _decoded(match[0])
        for match in _FERNET.finditer(data) if self._fernet else ():
            with suppress(InvalidToken):
                yield DECRYPTED, self._fernet.decrypt(match[0])


def _inflated(opened: Any, packed: memoryview) -> bytes:
    """The output up to the end or the first error: invalid data at the end must not hide what is before it."""
    inner = bytearray()
    with suppress(zlib.error, OSError, lzma.LZMAError, EOFError):
        for at in range(len(packed)):
            inner += opened.decompress(packed[at : at + 1], UNPACKED_MAX)
            if opened.eof or len(inner) > UNPACKED_MAX:
                break
    return bytes(inner)


def _decoded(text: bytes) -> bytes:
    plain = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.b64decode(plain + b"=" * (-len(plain) % 4))
