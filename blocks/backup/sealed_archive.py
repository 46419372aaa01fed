"""The file of a backup: a tar in gzip, with a seal at its end that covers every byte before it.

The seal is an empty member of the gzip file, which `gzip` and `tar` skip. Its extra field holds the SHA-256 of the file
and the place of the manifest, the last entry of the tar. So damage anywhere is found before anything is read from the
file, and the manifest can be read without the rest. See docs/reference/backup-format.md.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from isal import igzip, isal_zlib

from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
MANIFEST_MAX = 256 * 2**20
LEVEL = 2
CHUNK = 2**20
GZIP = 31  # zlib's window bits for a gzip header
_HEAD = bytes.fromhex("1f8b0804 00000000 00ff".replace(" ", ""))
_FIELD = struct.Struct("<HccHBQ32s")  # length of the extra field; O, P, length of the subfield; form, manifest, digest
_SUBFIELD = 1 + 8 + 32
_TAIL = bytes.fromhex("0300") + bytes(8)  # an empty block, CRC and length 0
SEAL_BYTES = len(_HEAD) + _FIELD.size + len(_TAIL)
SEAL_FORM = 1


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the tar: its name, its size in bytes, and the SHA-256 of its content."""

    name: str
    size: int
    sha256: str


class ArchiveWriter:
    """Writes an archive to an open file, one part after the other. No more than a part of `add` is in memory."""

    def __init__(self, file: IO[bytes], modified: int) -> None:
        self._sink = _GzipSink(file)
        self._tar = tarfile.open(fileobj=self._sink, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._modified = modified
        self.parts: list[Part] = []

    def add(self, name: str, content: bytes) -> Part:
        """Add a part from memory."""
        return self._add(name, len(content), io.BytesIO(content))

    def add_file(self, name: str, path: Path, advance: Callable[[int], object] = lambda _: None) -> Part:
        """Add a part from a file that does not change meanwhile."""
        with path.open("rb") as file:
            return self._add(name, os.fstat(file.fileno()).st_size, file, advance)

    def finish(self, manifest: bytes) -> str:
        """Write the manifest and the seal. Returns the SHA-256 in the seal, as hexadecimal digits."""
        offset = self._sink.next_member()
        self._add(MANIFEST, len(manifest), io.BytesIO(manifest))
        self._tar.close()
        self._sink.next_member()
        return self._sink.seal(offset)

    def _add(self, name: str, size: int, file: IO[bytes], advance: Callable[[int], object] = lambda _: None) -> Part:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, self._modified
        reader = _DigestReader(file, advance)
        self._tar.addfile(entry, cast("IO[bytes]", reader))
        part = Part(name, size, reader.digest.hexdigest())
        self.parts.append(part)
        return part


class _GzipSink(io.RawIOBase):
    """A file for `tarfile` that compresses into gzip members and hashes the compressed bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self._position = 0
        self._written = 0
        self._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)

    def seek(self, offset: int, whence: int = 0) -> int:
        """The place, which `tarfile` reads once. There is no other place to go to."""
        if (offset, whence) not in {(0, io.SEEK_CUR), (self._position, io.SEEK_SET)}:
            raise io.UnsupportedOperation("seek")
        return self._position

    def write(self, data: Any) -> int:
        self._position += len(data)
        self._write(self._compressor.compress(data))
        return len(data)

    def next_member(self) -> int:
        """End the gzip member. Returns the place in the file at which the next one begins."""
        self._write(self._compressor.flush())
        self._compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        return self._written

    def seal(self, offset: int) -> str:
        self._digest.update(offset.to_bytes(8, "little"))
        self._file.write(_seal(offset, self._digest.digest()))
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._written += len(data)


class _DigestReader:
    def __init__(self, file: IO[bytes], advance: Callable[[int], object]) -> None:
        self._file = file
        self._advance = advance
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self._advance(len(data))
        return data


def _seal(offset: int, digest: bytes) -> bytes:
    field = _FIELD.pack(_SUBFIELD + 4, b"O", b"P", _SUBFIELD, SEAL_FORM, offset, digest)
    return _HEAD + field + _TAIL


@dataclass(frozen=True, slots=True)
class SealedArchive:
    """An archive whose bytes are those that were written."""

    path: Path
    sha256: str
    offset: int

    def manifest(self) -> bytes:
        """The content of the manifest."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            plain = isal_zlib.decompressobj(GZIP).decompress(file.read(MANIFEST_MAX), MANIFEST_MAX)
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            entry = tar.next()
            content = tar.extractfile(entry) if entry is not None and entry.name == MANIFEST else None
            if content is None:
                raise not_a_backup(self.path)
            return content.read()

    def read(self, expected: dict[str, Part]) -> Iterator[tuple[Part, IO[bytes]]]:
        """The parts in their order, each with a file to read it from before the next one.

        Raises FirstPartyGenericError if a part is not as the manifest says: then the file was changed meanwhile.
        """
        try:
            with igzip.open(self.path, "rb") as plain, tarfile.open(fileobj=plain, mode="r|") as tar:  # type: ignore[no-untyped-call]
                for entry in tar:
                    if entry.name != MANIFEST:
                        yield from self._read(tar, entry, expected.get(entry.name))
        except READ_ERRORS:
            raise damaged(self.path) from None

    def _read(
        self, tar: tarfile.TarFile, entry: tarfile.TarInfo, part: Part | None
    ) -> Iterator[tuple[Part, IO[bytes]]]:
        content = tar.extractfile(entry)
        if part is None or content is None or entry.size != part.size:
            raise damaged(self.path)
        reader = _DigestReader(content, lambda _: None)
        yield part, reader  # type: ignore[misc]
        while reader.read(CHUNK):
            pass
        if reader.digest.hexdigest() != part.sha256:
            raise damaged(self.path)


def open_sealed(path: Path, advance: Callable[[int], object] = lambda _: None) -> SealedArchive:
    """Read the whole file and compare it with its seal. `advance` is called with numbers of bytes.

    Raises FirstPartyGenericError if it is not complete, or a byte differs.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(2) != _HEAD[:2] or size <= SEAL_BYTES:
            raise not_a_backup(path)
        file.seek(0)
        left = size - SEAL_BYTES
        while left:
            data = file.read(min(CHUNK, left))
            if not data:
                raise damaged(path)
            digest.update(data)
            advance(len(data))
            left -= len(data)
        seal = file.read(SEAL_BYTES)
    if not seal.startswith(_HEAD) or seal[len(_HEAD) + 2 : len(_HEAD) + 4] != b"OP":
        raise damaged(path)
    offset = _FIELD.unpack_from(seal, len(_HEAD))[-2]
    digest.update(offset.to_bytes(8, "little"))
    if seal != _seal(offset, digest.digest()):
        raise damaged(path)
    return SealedArchive(path, digest.hexdigest(), offset)


def damaged(path: Path) -> FirstPartyGenericError:
    """The error for a file that is not as it was written."""
    return FirstPartyGenericError(
        f"{path} is damaged or not complete: its bytes do not match the SHA-256 at its end. Nothing was restored.",
        hint="Copy it again from where it is kept, or use another backup.",
        code="backup-damaged",
    )


def not_a_backup(path: Path) -> FirstPartyGenericError:
    """The error for a file that is something else."""
    return FirstPartyGenericError(
        f"{path} is not a backup of this program. Nothing was restored.",
        hint="Name a file that `onepassword-source backup FILE` has written.",
        code="not-a-backup",
    )


READ_ERRORS: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, zlib.error, OSError)
"""What reading a part raises if the file changes while it is read."""
