"""A fake `op` on the PATH, which answers as 1Password CLI 2.39 does, for a single item."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECRET = "a-token-from-1password"
REFERENCE = "op://Private/Events API/credential"
PROGRAM = """\
#!{python}
import json, os, sys, time
directory = {directory!r}
with open(directory + "/calls", "a") as calls:
    calls.write(json.dumps({{"arguments": sys.argv[1:], "environment": sorted(os.environ)}}) + "\\n")
error = "[ERROR] 2026/11/29 12:00:00 could not read secret '" + sys.argv[-1] + "': "
if os.path.exists(directory + "/signed-out"):
    sys.exit(error + "error initializing client: You are not currently signed in. Please run `op signin --help`"
             " for instructions")
if os.path.exists(directory + "/hangs"):
    time.sleep(600)
if sys.argv[1:3] != ["read", "--no-newline"]:
    sys.exit("[ERROR] unknown command")
_, _, vault, item, *field = sys.argv[3].split("/")
if vault != "Private":
    sys.exit(error + '"' + vault + "\\" isn't a vault in this account. Specify the vault with its ID or name.")
if item != "Events API":
    sys.exit(error + "could not get item: \\"" + item + "\\" isn't an item in the \\"Private\\" vault. Specify the item"
             " with its UUID, name, or domain.")
answers = {{"credential": {secret!r}.encode(), "empty": b"", "binary": bytes(range(256)), "large": b"x" * 100_000}}
if field[-1] not in answers:
    sys.exit(error + "item 'Private/Events API' does not have a field '" + field[-1] + "'")
sys.stdout.buffer.write(answers[field[-1]])
"""


class FakeOp:
    """The fake program and its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def install(self, secret: str = SECRET) -> None:
        self.directory.mkdir(exist_ok=True)
        program = self.directory / "op"
        program.write_text(PROGRAM.format(python=sys.executable, directory=str(self.directory), secret=secret))
        program.chmod(0o755)

    @property
    def path(self) -> str:
        """A PATH with the program's directory first."""
        return os.pathsep.join([str(self.directory), os.environ.get("PATH", os.defpath)])

    def use(self, monkeypatch: pytest.MonkeyPatch, secret: str = SECRET) -> None:
        self.install(secret)
        monkeypatch.setenv("PATH", self.path)

    def sign_out(self) -> None:
        (self.directory / "signed-out").touch()

    def hang(self) -> None:
        (self.directory / "hangs").touch()

    @property
    def calls(self) -> list[str]:
        """The recorded calls, one line of JSON each."""
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []
