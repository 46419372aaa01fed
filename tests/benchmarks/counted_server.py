"""The guarded Prefect server, which writes a line for each request and for each message that comes by a WebSocket."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from deployments.one_machine import guarded_server

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLS = "BENCHMARK_CALLS"


class Counted:
    """Notes what comes, and passes it on."""

    def __init__(self, app: ASGIApp, lines: IO[str]) -> None:
        self._app = app
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._lines.write(f"{scope['method']} {scope['path']}\n")

        async def received() -> Message:
            message = await receive()
            if message["type"].startswith("websocket.") and message["type"] != "websocket.disconnect":
                self._lines.write(f"{message['type']} {scope['path']}\n")
            return message

        await self._app(scope, received, send)


def main() -> None:
    made = guarded_server.create_app
    with open(os.environ[CALLS], "a", buffering=1) as lines:  # noqa: PTH123 - as short
        guarded_server.create_app = lambda: Counted(made(), lines)
        guarded_server.main()


if __name__ == "__main__":
    main()
