"""The Prefect server of one command. Importing this module imports Prefect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import IO, Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from blocks import settings
from deployments.one_machine import processes
from deployments.prefect_api import database
from deployments.prefect_api.server_access import HOST

SERVICE_SETTINGS = (f"{settings.PREFIX}TRUSTED_PROXIES", f"{settings.PREFIX}LOG_FORMAT")
"""Settings of servers that run as services. The command is the only client of this one, and hides its log."""


class GuardedServer(SubprocessASGIServer):
    """Prefect's temporary server behind the guard. It ends with the command, however that ends.

    It is made first, so that Prefect's own clients find it.
    """

    is_hurried = False
    """True if a server that ends at its start is not started again, and its traceback is hidden."""
    _errors: IO[bytes] | None = None

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        # Prefect retries without end, because another program may have taken its port.
        if self.is_hurried and self.server_process is not None:
            raise RuntimeError("The ephemeral server ended at its start.")
        arguments = ["--host", HOST, "--port", str(self.port), "--log-level", "error"]
        return subprocess.Popen(
            processes.command("deployments.one_machine.guarded_server", arguments),
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                **dict.fromkeys(SERVICE_SETTINGS, ""),
                **get_current_settings().to_environment_variables(exclude_unset=True),
                **database.environment(),
            },
            stdin=subprocess.PIPE,
            stderr=self._standard_error(),
            start_new_session=True,
        )

    def _standard_error(self) -> IO[bytes] | int | None:
        """The terminal with --debug only: a server that is stopped while it answers logs that with a traceback."""
        if self.is_hurried:
            return subprocess.DEVNULL
        if os.environ.get("PREFECT_LOGGING_LEVEL") == "DEBUG":
            return None
        self._errors = self._errors or tempfile.TemporaryFile()  # noqa: SIM115 - for as long as this process lives
        return self._errors

    def show_errors(self) -> None:
        """Copy what the server has written to standard error so far."""
        if self._errors is not None:
            self._errors.seek(0)
            shutil.copyfileobj(self._errors, sys.stderr.buffer)
            sys.stderr.flush()

    def stop(self) -> None:
        """End it, if it runs."""
        process = self.server_process
        super().stop()
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
