"""The command `sandbox`: a configuration that `apply` accepts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from support.json_schemas import require_schema
from support.terminal import CTRL_C, in_terminal

from blocks.config.source_file import parse_sources
from deployments import cli

COMMAND = [sys.executable, "-m", "deployments.cli"]


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
