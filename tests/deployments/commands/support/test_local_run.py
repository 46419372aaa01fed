"""A run in the process of a command: its outcome in words and as an exit code."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

from deployments.commands.support import local_run
from deployments.commands.support.local_run import headline, health_errors_hidden, print_stopped, worst_exit_code
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED

if TYPE_CHECKING:
    import pytest

HEALTH = "Health: 1Pass (error). ThirdPartyConfigError: The token is refused."


def test_the_worst_exit_code_counts() -> None:
    assert worst_exit_code([]) == DONE
    assert worst_exit_code([DONE, SKIPPED]) == SKIPPED
    assert worst_exit_code([SKIPPED, IN_ERROR, DONE]) == IN_ERROR
    assert worst_exit_code([IN_ERROR, INTERRUPTED]) == INTERRUPTED


def test_a_headline_cannot_drive_a_terminal() -> None:
    assert headline("Collected", "3 new\x1b[31m", DONE).plain == "Collected: 3 new\ufffd[31m"


def test_a_stopped_run_is_one_line_or_one_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_stopped({"source": "1Pass"}, "Stopped", "It waited.", as_json=False)
    assert capsys.readouterr().out == "Stopped: It waited.\n"
    print_stopped({"source": "1Pass"}, "Stopped", "It waited.", as_json=True)
    record = {"source": "1Pass", "state": "Stopped", "message": "It waited.", "in_error": False}
    assert json.loads(capsys.readouterr().out) == record


def test_on_a_terminal_the_errors_of_health_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_run.deferred.collect  # Prefect sets up its logging when it is imported
    messages: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: messages.append(record.getMessage()))
    root = logging.getLogger()
    root.addHandler(handler)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", local_run.QUIET)
    try:
        with health_errors_hidden():
            root.warning(HEALTH)
            root.warning("Health: sign-in (warning). Lag")
        root.warning(HEALTH)
    finally:
        root.removeHandler(handler)
    assert messages == ["Health: sign-in (warning). Lag", HEALTH]
