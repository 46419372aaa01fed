"""A root file system of a Debian release, for a Python that this machine does not have. Needs root and mmdebstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from install.machine import CommandFailedError

SECONDS = 900.0
USER, ID = "someone", 1000
OF_THIS_MACHINE = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt")
"""What reaches the package index from here."""


@dataclass(frozen=True)
class DebianRoot:
    """A root file system with a user in it. Commands run as that user, with processes and mounts of their own."""

    path: Path

    @classmethod
    def make(cls, path: Path, release: str, *packages: str) -> DebianRoot:
        """Install a release. The test is skipped with the reason where that is impossible."""
        if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
            pytest.skip(f"a root file system of Debian {release} needs root and mmdebstrap")
        done = subprocess.run(
            [
                "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(('ca-certificates', *packages))}",
                # A mirror may be some weeks old; its signature is still checked.
                '--aptopt=Acquire::Check-Valid-Until "false"', release, path, *_mirror(),
            ],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"Debian {release} could not be installed: {done.stderr.strip().splitlines()[-1]}")
        made = cls(path)
        for name in OF_THIS_MACHINE:
            shutil.copy(Path("/") / name, path / name)
        subprocess.run(["chroot", path, "useradd", "--create-home", "--uid", str(ID), USER], check=True)
        return made

    @property
    def home(self) -> Path:
        """The user's home, as this machine sees it."""
        return self.path / "home" / USER

    def call(self, *command: str) -> str:
        """Run a command in the user's home; what it prints."""
        inside = ["--root", str(self.path), "--wd", f"/home/{USER}", "--setuid", str(ID), "--setgid", str(ID)]
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *inside, *command],
            env={"HOME": f"/home/{USER}", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise CommandFailedError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout


def _mirror() -> list[str]:
    """That of this machine, if it is a Debian; mmdebstrap has one of its own."""
    for file in Path("/etc/apt/sources.list.d").glob("debian.sources"):
        for line in file.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1:2]
    return []
