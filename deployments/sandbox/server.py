"""Starts the sandbox and serves until it is stopped."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import uvicorn

from deployments.sandbox.app import build_app
from deployments.sandbox.broken_responses import WireProtocol
from deployments.sandbox.state import SandboxState

if TYPE_CHECKING:
    from deployments.sandbox.options import SandboxOptions

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75

Ready = Callable[[str, str], None]


class SandboxStartError(Exception):
    """Why the sandbox cannot start, and what to do."""


def serve(options: SandboxOptions, *, ready: Ready, stop_with: BinaryIO | None = None) -> None:
    """Serve on loopback until Ctrl-C or SIGTERM. `ready(base_url, token)` is called as soon as it listens.

    With `stop_with` (such as standard input) it also stops when that ends, so it never outlives its parent. Raises
    SandboxStartError if the port is taken, SandboxOptionError for an invalid option.
    """
    listener = _listen(options.port)
    host = f"{HOST}:{listener.getsockname()[1]}"
    state = SandboxState(options, host)
    server = _Server(state, lambda: ready(f"http://{host}", state.tokens.issue()))
    if stop_with is not None:
        threading.Thread(target=server.stop_after, args=(stop_with,), daemon=True).start()
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, state: SandboxState, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                build_app(state),
                http=WireProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=5,
            )
        )
        self._state = state
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.stopping.set()
        await super().shutdown(sockets)

    def stop_after(self, stream: BinaryIO) -> None:
        while stream.read(1024):
            pass
        self.should_exit = True


def _listen(port: int) -> socket.socket:
    # With IPPROTO_TCP: asyncio disables Nagle's algorithm (40 ms per response) only if the protocol is not 0.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise SandboxStartError(
            f"Port {port} cannot be used ({error.strerror}). Choose another, or 0 for a free one."
        ) from None
    return listener
