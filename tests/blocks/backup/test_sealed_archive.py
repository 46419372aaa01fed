"""An archive is a tar in gzip that any tool opens, and a wrong byte anywhere in it is found."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from blocks.backup import sealed_archive
from blocks.backup.sealed_archive import ArchiveWriter, Part
from blocks.errors import FirstPartyGenericError

BODIES = {"one.txt": b"first " * 1000, "two/empty": b"", "two/three.bin": bytes(range(256)) * 40}
MANIFEST = b'{"of": "this"}'


def write(path: Path) -> list[Part]:
    with path.open("wb") as file:
        archive = ArchiveWriter(file, 1_700_000_000)
        for name, content in BODIES.items():
            archive.add(name, content)
        parts = list(archive.parts)
        archive.finish(MANIFEST)
    return parts


def test_tar_unpacks_it(tmp_path: Path) -> None:
    write(tmp_path / "b.tar.gz")
    done = subprocess.run(
        ["tar", "xzf", tmp_path / "b.tar.gz"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: (tmp_path / name).read_bytes() for name in BODIES} == BODIES
    assert (tmp_path / "manifest.json").read_bytes() == MANIFEST


def test_pythons_own_tar_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        assert tar.getnames() == [*BODIES, "manifest.json"]
        assert {one.mode for one in tar.getmembers()} == {0o600}


def test_the_manifest_is_read_without_the_rest_and_the_parts_in_order(tmp_path: Path) -> None:
    parts = write(tmp_path / "b.tar.gz")
    archive = sealed_archive.open_sealed(tmp_path / "b.tar.gz")
    assert archive.manifest() == MANIFEST
    expected = {one.name: one for one in parts}
    assert {part.name: file.read(part.size) for part, file in archive.read(expected)} == BODIES


def test_every_wrong_byte_is_found(tmp_path: Path) -> None:
    write(tmp_path / "b.tar.gz")
    content = (tmp_path / "b.tar.gz").read_bytes()
    broken = tmp_path / "broken"
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        broken.write_bytes(changed)
        with pytest.raises(FirstPartyGenericError, match=r"damaged|not a backup"):
            sealed_archive.open_sealed(broken)


@pytest.mark.parametrize("left", [0, 1, 30, 400])
def test_a_file_that_was_cut_is_not_read(tmp_path: Path, left: int) -> None:
    write(tmp_path / "b.tar.gz")
    content = (tmp_path / "b.tar.gz").read_bytes()
    for cut in (content[:left], content[: len(content) - 1 - left], content + b"\0" * (left + 1)):
        (tmp_path / "cut").write_bytes(cut)
        with pytest.raises(FirstPartyGenericError, match=r"damaged|not a backup"):
            sealed_archive.open_sealed(tmp_path / "cut")


def test_a_part_that_differs_from_the_manifest_is_found(tmp_path: Path) -> None:
    parts = write(tmp_path / "b.tar.gz")
    archive = sealed_archive.open_sealed(tmp_path / "b.tar.gz")
    expected = {one.name: one for one in parts} | {"one.txt": Part("one.txt", parts[0].size, "0" * 64)}
    with pytest.raises(FirstPartyGenericError, match="damaged"):
        list(archive.read(expected))


def test_what_is_no_backup_is_refused_in_words(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    for name, content in {"a": b"", "b": json.dumps({}).encode() * 100, "c": buffer.getvalue() * 9}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FirstPartyGenericError, match="Nothing was restored"):
            sealed_archive.open_sealed(tmp_path / name)
