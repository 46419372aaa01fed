"""The console on a loopback port, for browsers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from support.console_client import PASSWORDS
from support.one_machine import free_port, wait_until

from deployments.console.app import create_app
from deployments.console.settings import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served_console() -> Iterator[str]:
    """Serve the console of the environment's store. Yields its origin."""
    port = free_port()
    app = create_app(ConsoleSettings(PASSWORDS, can_act=True))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
