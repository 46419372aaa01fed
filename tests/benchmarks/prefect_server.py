"""The Prefect server of `up`, in a process of its own, so that the flow's process is a flow's process only."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blocks import settings
from deployments import prefect_access
from deployments.processes import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 120
STOP_SECONDS = 10


@contextmanager
def running_prefect() -> Iterator[None]:
    """Every process of this data directory finds the server, as it finds a running `up`."""
    port = free_port()
    url = f"http://{prefect_access.HOST}:{port}/api"
    arguments = ["server", "start", "--host", prefect_access.HOST, "--port", str(port)]
    with prefect_access.hold_up(), (settings.data_dir() / "server.log").open("wb") as log:
        server = Child("Prefect server", arguments, {**os.environ, **prefect_access.environment_for(url)}, log)
        server.start()
        try:
            wait_for(server, url)
            prefect_access.announce(url)
            yield
        finally:
            server.stop(signal.SIGINT, STOP_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((prefect_access.HOST, 0))
        return int(probe.getsockname()[1])


def wait_for(server: Child, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not prefect_access.answers(url):
        if server.exit_code() is not None or time.monotonic() > deadline:
            raise RuntimeError((settings.data_dir() / "server.log").read_text(errors="replace")[-2000:])
        time.sleep(0.2)
