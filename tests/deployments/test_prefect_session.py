"""Prefect for one command: a temporary server where none runs, and its environment before its import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support import own_environment

from deployments.prefect_api import server_access, server_secrets
from deployments.prefect_session import ignoring_ctrl_c

data = own_environment.data


def test_without_an_up_prefect_starts_a_temporary_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_access.activate() == server_access.PrefectAccess("temporary")
    assert "PREFECT_API_URL" not in os.environ
    assert os.environ["PREFECT_SERVER_ENCRYPTION_KEY"] == server_secrets.load_secrets().encryption_key


def test_prefect_imported_too_early_is_an_error_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect", sys)
    with pytest.raises(RuntimeError, match="after Prefect was imported with other settings"):
        server_access.activate()


def test_helpers_ignore_the_ctrl_c_that_a_terminal_sends_to_all() -> None:
    with ignoring_ctrl_c():
        helper = subprocess.Popen(["sleep", "60"])
    helper.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        helper.wait(0.2)
    helper.terminate()
    assert helper.wait(10) == -signal.SIGTERM
