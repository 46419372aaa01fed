"""Print the versions of a lock file without its hashes, as uv, pipx and pip read them with `--constraint`.

For example: `python .ci/constraints.py requirements.lock > constraints.txt`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def constraints(lock: str) -> list[str]:
    """One line for each package, with its version and its marker."""
    lines = (line.removesuffix("\\").rstrip() for line in lock.splitlines() if not line.startswith(" "))
    return [line for line in lines if line]


if __name__ == "__main__":
    print("\n".join(constraints(Path(sys.argv[1]).read_text())))  # noqa: T201 - its purpose
