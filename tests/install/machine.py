"""A machine on which nothing of this project is: an empty home, an empty folder, and a bare environment.

Caches of downloads are shared by the tests of one call, so that each package is downloaded once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 900.0
OWN_BIN = Path(sys.executable).parent
FOREIGN = ("PREFECT_", "ONEPASSWORD_SOURCE_", "PYTHON", "VIRTUAL_ENV", "XDG_", "PYTEST_", "PYENV_")
"""Variables of the machine that runs the tests, which a new machine does not have."""


class CommandFailedError(AssertionError):
    """A command ended with an exit code other than 0. Its output is the message."""


@dataclass(frozen=True)
class Machine:
    """An empty home, and an empty folder in it in which commands are run."""

    home: Path
    cache: Path
    folder: Path
    further: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, cache: Path) -> Machine:
        home = directory / "home"
        made = cls(home, cache, home / "folder")
        made.folder.mkdir(parents=True)
        return made

    def in_folder(self, name: str) -> Machine:
        """The same machine, whose commands run in another folder."""
        return replace(self, folder=self.folder / name)

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

    @contextmanager
    def start(self, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside others. It must end by itself, or by a signal that the test sends."""
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
            process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()  # it stops what it has started
                process.communicate(timeout=SECONDS)
