"""The Prefect server of one command. Importing this module imports Prefect."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from deployments.one_machine import processes
from deployments.prefect_api import database
from deployments.prefect_api.server_access import HOST


class GuardedServer(SubprocessASGIServer):
    """Prefect's temporary server behind the guard. It ends with the command, however that ends.

    It is made first, so that Prefect's own clients find it.
    """

    is_hurried = False
    """True if a server that ends at its start is not started again, and its traceback is hidden."""

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
                **get_current_settings().to_environment_variables(exclude_unset=True),
                **database.environment(),
            },
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL if self.is_hurried else None,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it, if it runs."""
        process = self.server_process
        super().stop()
        if process is not None and process.stdin is not None:
            process.stdin.close()
