"""Below HTTP: responses that break the connection, or never come."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

CHUNK = 64 * 1024
_PAGE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class WireProtocol(H11Protocol):
    """Passes the connection itself to the application, as `scope["state"]["transport"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class BrokenResponse(Response):
    """A response without a status."""


class Reset(BrokenResponse):
    """A TCP RST. With `sent`, that many bytes of a response precede it."""

    def __init__(self, body: bytes, sent: int) -> None:
        super().__init__()
        self._body, self._sent = body, sent

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = _transport(scope)
        if self._sent:
            transport.write(_PAGE_HEAD % len(self._body) + self._body[: self._sent])
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _disconnected(receive)


class Truncated(BrokenResponse):
    """Announces its length, and ends before."""

    def __init__(self, body: bytes, sent: int) -> None:
        super().__init__()
        self._body, self._sent = body, sent

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = _transport(scope)
        transport.write(_PAGE_HEAD % len(self._body) + self._body[: self._sent])
        transport.close()
        await _disconnected(receive)


class Stall(BrokenResponse):
    """Sends nothing (or only the headers) until the client disconnects or the sandbox ends."""

    def __init__(self, stopping: asyncio.Event, *, after_headers: bool) -> None:
        super().__init__()
        self._stopping, self._after_headers = stopping, after_headers

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = _transport(scope)
        if self._after_headers:
            transport.write(_PAGE_HEAD % 1000)
        waits = {asyncio.ensure_future(_disconnected(receive)), asyncio.ensure_future(self._stopping.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        transport.abort()
        await _disconnected(receive)


async def pad(head: bytes, size: int, tail: bytes) -> AsyncIterator[bytes]:
    """`size` bytes of padding between head and tail, never all of them in memory."""
    yield head
    for start in range(0, size, CHUNK):
        yield b"a" * min(CHUNK, size - start)
        # Without a pause the event loop never learns that the client has disconnected.
        await asyncio.sleep(0)
    yield tail


def _transport(scope: Scope) -> asyncio.Transport:
    transport: Any = scope["state"]["transport"]
    assert isinstance(transport, asyncio.Transport)  # noqa: S101 - WireProtocol put it there
    return transport


async def _disconnected(receive: Receive) -> None:
    """Wait until uvicorn sees the disconnect: it sends a 500 for an application that returns early."""
    while (await receive())["type"] != "http.disconnect":
        pass
