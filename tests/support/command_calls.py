"""Call commands of `onepassword-source` in the process of a test, and write the files that they read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import json_schemas

from deployments import cli

if TYPE_CHECKING:
    import pytest

    from deployments.sandbox.process import SandboxProcess


class CommandCalls:
    """Calls commands. `err` is the standard error of the last one, `shown` all output so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""
        self.shown = ""

    def __call__(self, *arguments: str, code: int = cli.DONE) -> str:
        """Returns standard output; if `code` is not DONE and there is no output, standard error."""
        self._capsys.readouterr()
        directory = Path.cwd()
        try:
            found = cli.main(arguments)
        finally:
            os.chdir(directory)  # the command has left it, and the next one names files in it
        out, self.err = self._capsys.readouterr()
        self.shown += out + self.err
        assert found == code, self.err
        return out if code == cli.DONE else out or self.err

    def json(self, *arguments: str, code: int = cli.DONE) -> Any:
        """Returns the command's output with --json, and asserts that it matches its schema."""
        found = json.loads(self(*arguments, "--json", code=code))
        json_schemas.require_output(arguments, found)
        return found


def source_config(name: str, api: SandboxProcess, **members: Any) -> dict[str, Any]:
    """The document of a source that collects from the sandbox: a file's `source`, or an entry of its `sources`."""
    config = {
        "name": name,
        "base_url": api.base_url,
        "api_token": api.token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        **members,
    }
    return {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}


def write_document(path: str, document: object, mode: int = 0o600) -> Path:
    """A file for `apply`, which only its owner can read."""
    file = Path(path)
    file.write_text(json.dumps(document))
    file.chmod(mode)
    return file
