"""Print which packages of this environment have another version than in a lock file."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOCKED = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def differences(lock: str) -> list[str]:
    """One line for each package that is installed in another version."""
    lines = []
    for name, locked in LOCKED.findall(lock):
        try:
            installed = version(name)
        except PackageNotFoundError:  # of another platform
            continue
        if installed != locked:
            lines.append(f"  {name} {installed} (locked: {locked})")
    return lines


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]).read_text())
    print("\n".join(["Other versions than in the lock:", *found]) if found else "All versions are those of the lock.")  # noqa: T201 - its purpose
