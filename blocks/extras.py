"""The command that adds an optional part of this program to the environment that it runs in."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from blocks.command_line import PROGRAM

INSTALLERS = {
    "uv-receipt.toml": ("uv", "tool", "install"),
    "pipx_metadata.json": ("pipx", "install", "--force"),
}
"""The file that an installer leaves in an environment that it has made, and its command."""


def install_command(extra: str) -> str:
    """The command as it can be pasted into a shell, for the installer that made this environment: uv, pipx or pip."""
    requirement = f"{PROGRAM}[{extra}]"
    for receipt, command in INSTALLERS.items():
        if (Path(sys.prefix) / receipt).is_file():
            return shlex.join([*command, requirement])
    return shlex.join([sys.executable, "-m", "pip", "install", requirement])
