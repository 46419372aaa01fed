"""How this program starts Python: never with a module of the working directory."""

from __future__ import annotations

import sys


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs an installed module."""
    # -P: `python -m` puts the working directory first on sys.path, and with it whatever a person keeps there.
    return [sys.executable, "-P", "-m", module, *arguments]
