"""The command `env`: the same settings for a shell and a script, and no secret of a server of your own."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.command_calls import CommandCalls

from deployments.prefect_api import server_secrets


def test_env_gives_a_shell_and_a_script_the_same_settings(call: CommandCalls) -> None:
    """A shell that evaluates the lines has the settings of --json, and no server that it knew before."""
    settings = call.json("env")
    assert settings["PREFECT_API_AUTH_STRING"] == server_secrets.load_secrets().auth_string
    assert settings["PREFECT_HOME"] == str(server_secrets.prefect_home())
    before = {"PATH": os.environ["PATH"], "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    script = ["sh", "-c", 'eval "$1"; env -0', "sh", call("env")]
    shown = subprocess.check_output(script, env=before, text=True)
    exported = dict(line.split("=", 1) for line in shown.split("\0") if line)
    assert "PREFECT_API_URL" not in exported, "no `up` runs"
    assert {name: exported[name] for name in settings} == {**settings, "PREFECT_SERVER_EPHEMERAL_ENABLED": "false"}


def test_env_prints_nothing_secret_for_a_server_of_the_users_own(
    call: CommandCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    assert call.json("env") == {}
    assert call("env").startswith("# PREFECT_API_URL is set")
