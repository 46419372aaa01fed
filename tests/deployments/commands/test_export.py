"""The command `export`: masked, and accepted by `apply`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import apply

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]


def test_an_export_is_masked_and_goes_round_through_apply(
    call: CommandCalls, name: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(call, name, api, description="Größe", category="sec", fields={"_siemForward": True}, api_version="v1")
    call("export", name, "-o", "copy.json")
    assert stat.S_IMODE(Path("copy.json").stat().st_mode) == 0o600
    assert "The token is masked in it." in call.err
    written = Path("copy.json").read_text()
    assert (api.token in written, '"api_token": "********"' in written) == (False, True)
    assert call("export", name) == written
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", api.token)
    assert call("apply", "copy.json").startswith(f"{name}: unchanged")
    monkeypatch.delenv("ONEPASSWORD_SOURCE_API_TOKEN", raising=False)
    assert json.loads(call("export", name, "--with-token"))["source"]["config"]["api_token"] == api.token
