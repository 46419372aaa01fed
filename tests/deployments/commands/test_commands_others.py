"""`env`, `sandbox` and `demo`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.terminal import CTRL_C, in_terminal

from blocks.config.source_file import parse_sources
from deployments import cli
from deployments.prefect_api import server_access
from deployments.prefect_session import ignoring_ctrl_c

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "deployments.cli"]


def test_env_for_a_shell_and_for_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == cli.DONE
    assert capsys.readouterr().out == server_access.shell_exports()
    assert cli.main(["env", "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out) == server_access.prefect_environment()


def test_sandbox_tells_a_script_one_json_line() -> None:
    with subprocess.Popen([*COMMAND, "sandbox", "--events", "3"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert set(json.loads(process.stdout.readline())) == {"base_url", "token"}
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_sandbox_tells_a_person_a_configuration_that_apply_takes() -> None:
    code, shown = in_terminal([*COMMAND, "sandbox", "--events", "3"], [("Ctrl-C.", CTRL_C)])
    assert code == 0
    document = shown[shown.index("\n{") : shown.rindex("}") + 1]
    (config,) = parse_sources(document.encode(), allowed_hosts=frozenset())
    assert config.api_token is not None
    assert shown.startswith(f"The sandbox listens on {config.base_url}.")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fault", "{"], "argument --fault: '{' is neither KIND[:API[:TIMES]] nor JSON such as"),
        (["--fault", "500:audit:x"], "argument --fault: '500:audit:x' is neither KIND[:API[:TIMES]] nor JSON such as"),
        (["--rate-window", "3"], "argument --rate-window: '3' is not N/SECONDS, such as 600/60"),
        (["--days", "0"], "days must be from 0 to 3650, not 0.0"),
    ],
)
def test_sandbox_names_a_wrong_flag(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sandbox", *flags]) == cli.WRONG_USE
    assert said in capsys.readouterr().err


def test_helpers_outlive_the_ctrl_c_that_a_terminal_sends_to_all() -> None:
    with ignoring_ctrl_c():
        helper = subprocess.Popen(["sleep", "60"])
    helper.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        helper.wait(0.2)
    helper.terminate()
    assert helper.wait(10) == -signal.SIGTERM


@pytest.mark.prefect
def test_demo_starts_anew_in_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "events.db").write_bytes(b"left by a demo that was broken off")
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
    told = [*COMMAND, "events", "demo", "--format", "ndjson"]
    assert len(subprocess.check_output(told, cwd=tmp_path, env=env).splitlines()) == 3000
