"""The Prefect server of `up`, in a process of its own, so that the flow's process is a flow's process only."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blocks import settings
from deployments.one_machine.processes import Child
from deployments.prefect_api import database, server_access, up_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120
STOP_SECONDS = 10
GUARD = "deployments.one_machine.guarded_server"


@contextmanager
def running_prefect(module: str = GUARD) -> Iterator[Child]:
    """Every process of this data directory finds the server, as it finds a running `up`.

    `module` is what serves, with the command line of the guard.
    """
    port = _free_port()
    url = f"http://{server_access.HOST}:{port}/api"
    arguments = ["--host", server_access.HOST, "--port", str(port)]
    log = settings.data_dir() / "server.log"
    access = server_access.environment_for(url)  # before there is a database: its blocks would need older secrets
    with up_lock.hold(), database.running(), log.open("wb") as output:
        environment = {**os.environ, **access, **database.environment()}
        server = Child("Prefect server", arguments, environment, output, module=module)
        server.start()
        try:
            _wait_for(server, url)
            up_lock.announce(url)
            yield server
        finally:
            server.stop(signal.SIGINT, STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((server_access.HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Child, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server_access.answers(url):
        if server.exit_code() is not None or time.monotonic() > deadline:
            raise RuntimeError((settings.data_dir() / "server.log").read_text(errors="replace")[-2000:])
        time.sleep(0.2)
