"""`env`, `sandbox` and `demo`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.json_schemas import require_schema
from support.terminal import CTRL_C, in_terminal

from blocks.config.source_file import parse_sources
from deployments import cli
from deployments.prefect_api import server_secrets
from deployments.prefect_session import ignoring_ctrl_c

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "deployments.cli"]


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


def test_sandbox_prints_one_json_line_for_a_script() -> None:
    with subprocess.Popen([*COMMAND, "sandbox", "--events", "3"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        require_schema("sandbox", json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_sandbox_shows_a_configuration_that_apply_accepts() -> None:
    code, shown = in_terminal([*COMMAND, "sandbox", "--events", "3"], [("Ctrl-C.", CTRL_C)])
    assert code == 0
    document = shown[shown.index("\n{") : shown.rindex("}") + 1]
    (config,) = parse_sources(document.encode(), allowed_hosts=frozenset())
    assert config.api_token is not None
    assert shown.startswith(f"The sandbox listens on {config.base_url}.")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fault", "{"], "argument --fault: '{' is neither KIND[:API[:TIMES]] nor JSON such as"),
        (["--fault", "500:audit:x"], "argument --fault: '500:audit:x' is neither KIND[:API[:TIMES]] nor JSON such as"),
        (["--rate-window", "3"], "argument --rate-window: '3' is not N/SECONDS, such as 600/60"),
        (["--days", "0"], "days must be from 0 to 3650, not 0.0"),
    ],
)
def test_sandbox_names_a_wrong_flag(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sandbox", *flags]) == cli.WRONG_USE
    assert message in capsys.readouterr().err


def test_helpers_ignore_the_ctrl_c_that_a_terminal_sends_to_all() -> None:
    with ignoring_ctrl_c():
        helper = subprocess.Popen(["sleep", "60"])
    helper.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        helper.wait(0.2)
    helper.terminate()
    assert helper.wait(10) == -signal.SIGTERM


@pytest.mark.prefect
def test_demo_starts_with_an_empty_store_in_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "events.db").write_bytes(b"left by a demo that was interrupted")
    (tmp_path / ".demo" / "source.json").write_text("{}")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "COLUMNS": "80",
        "HOME": str(tmp_path / "home"),
        "ONEPASSWORD_SOURCE_DATA_DIR": str(tmp_path / "mine"),
        "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{tmp_path / 'mine.db'}",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
    }
    done = subprocess.run([*COMMAND, "demo"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path) == [".demo"]  # noqa: PTH208
    assert "Collected: 3,000 new events (sign-in 1,000, itemUsage 1,000, audit 1,000)" in done.stdout
    shown, _, next_steps = done.stdout.partition("What next\n")
    assert len(shown.partition(" CC\n")[2].splitlines()) == 9  # eight events and an empty line
    assert not [line for line in next_steps.splitlines() if len(line) > 80]
    env["ONEPASSWORD_SOURCE_DATA_DIR"] = ".demo"
    del env["ONEPASSWORD_SOURCE_DATABASE_URL"]
    assert "ONEPASSWORD_SOURCE_DATA_DIR=.demo \\\n    onepassword-source events demo --format ndjson" in next_steps
    command = [*COMMAND, "events", "demo", "--format", "ndjson"]
    assert len(subprocess.check_output(command, cwd=tmp_path, env=env).splitlines()) == 3000
