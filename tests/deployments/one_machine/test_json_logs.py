"""`up` with a log of JSON: every line of its terminal and of its log files is an object, and none holds a secret."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command_calls import source_config
from support.up_process import Up

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

SECONDS = 180.0


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def wait_for_event(up: Up, event: str) -> dict[str, Any]:
    """The first object of the terminal with this event."""
    deadline = time.monotonic() + SECONDS
    while True:
        lines = up.output.splitlines(keepends=True)
        whole = "".join(line for line in lines if line.endswith("\n"))
        if found := [one for one in objects(whole) if one["event"] == event]:
            return found[0]
        assert time.monotonic() < deadline, up.output
        time.sleep(0.2)


@pytest.mark.prefect
def test_every_line_of_up_and_of_its_logs_is_an_object_without_a_secret(tmp_path: Path, api: SandboxProcess) -> None:
    up = Up(tmp_path, {"ONEPASSWORD_SOURCE_LOG_FORMAT": "json"})
    up.start()
    try:
        assert wait_for_event(up, "ready")["url"] == up.origin
        up.apply("source", {"source": source_config("json", api)})
        collected = wait_for_event(up, "collected")
    finally:
        up.stop()
    assert (collected["part"], collected["level"], collected["source"]) == ("run", "info", "json")
    assert collected["new"] == sum(collected["new_by_api"].values()) > 0
    assert collected["newest_age_seconds"] >= 0
    shown = objects(up.output)
    assert {"time", "level", "part", "event", "message"} <= set.intersection(*(set(one) for one in shown))
    assert shown[-1]["event"] == "stopped"
    password = json.loads((up.data / "secrets.json").read_bytes())["api_password"]
    assert (up.data / "worker.log").exists()
    for path in (up.data / "worker.log", up.data / "server.log"):
        text = path.read_text() if path.exists() else ""  # a server without a warning writes none
        assert len(objects(text)) == len(text.splitlines()), path
        assert password not in text
        assert api.token not in text
    assert password not in up.output
    assert api.token not in up.output
    shutil.rmtree(up.data)
