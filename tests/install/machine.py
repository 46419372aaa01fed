"""A machine on which nothing of this project is: an empty home, an empty folder, and a bare environment.

Caches of downloads are shared by the tests of one call, so that each package is downloaded once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 900.0
OWN_BIN = Path(sys.executable).parent
FOREIGN = ("PREFECT_", "ONEPASSWORD_SOURCE_", "PYTHON", "VIRTUAL_ENV", "XDG_", "PYTEST_", "PYENV_")
"""Variables of the machine that runs the tests, which a new machine does not have."""


class CommandFailedError(AssertionError):
    """A command ended with an exit code other than 0. Its output is the message."""


@dataclass(frozen=True)
class Machine:
    """An empty home and an empty folder in it. Commands are run in `folder`."""

    home: Path
    cache: Path
    further: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, cache: Path) -> Machine:
        made = cls(directory / "home", cache)
        made.home.mkdir()
        made.folder.mkdir()
        return made

    @property
    def folder(self) -> Path:
        return self.home / "folder"

    @property
    def environment(self) -> dict[str, str]:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        path = [part for part in bare["PATH"].split(os.pathsep) if Path(part) != OWN_BIN]
        return {
            **bare,
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(self.home / ".local" / "bin"), *path]),
            "PIP_CACHE_DIR": str(self.cache / "pip"),
            "UV_CACHE_DIR": str(self.cache / "uv"),
            **self.further,
        }

    def call(self, *command: str | Path, given: str = "", cwd: Path | None = None) -> str:
        """Run a command to its end; standard output and standard error, as a terminal shows them."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.folder,
            env=self.environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            raise CommandFailedError(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout
