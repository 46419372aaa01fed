"""`make dist` in clones: what it builds, and that it builds the same again. Its build tools are downloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from install.machine import Machine

ENDINGS = ["-constraints.txt", "-py3-none-any.whl", ".cdx.json", ".provenance.json", ".tar.gz"]


def test_make_dist_builds_the_same_files_in_two_folders(machine: Machine, clone: Path) -> None:
    other = machine.home / "another-folder"
    subprocess.run(["git", "clone", "--quiet", clone, other], check=True)
    sums = [_build(machine, clone, 0o022), _build(machine, other, 0o077)]
    assert sums[0] == sums[1]
    names = sorted(line.split()[1] for line in sums[0].splitlines())
    assert len(names) == len(ENDINGS)
    assert all(name.endswith(ending) for name, ending in zip(names, ENDINGS, strict=True)), names


def _build(machine: Machine, folder: Path, umask: int) -> str:
    (folder / ".venv").symlink_to(Path(sys.prefix))
    machine.call("sh", "-c", f"umask {umask:o} && .ci/dist", cwd=folder)
    machine.call("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=folder / "dist")
    return (folder / "dist" / "SHA256SUMS").read_text()
