"""Responses below HTTP: what is written to the connection, how it ends, and when the application returns."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from deployments.sandbox.broken_responses import CHUNK, BrokenResponse, Reset, Stall, Truncated, WireProtocol, pad

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = b"0123456789"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n"


class Connection(asyncio.Transport):
    """A connection that records what is done to it, in order."""

    def __init__(self, own: socket.socket) -> None:
        super().__init__({"socket": own})
        self.done: list[str | bytes] = []
        self.aborted = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")
        self.aborted.set()


class Client:
    """What uvicorn reports to the application: the rest of a request, then that the client is gone."""

    def __init__(self) -> None:
        self.messages = ["http.request", "http.disconnect"]

    async def receive(self) -> dict[str, str]:
        return {"type": self.messages.pop(0)}


class WaitingClient(Client):
    """A client that stays until the connection is aborted."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    async def receive(self) -> dict[str, str]:
        await self._connection.aborted.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.socket() as own:
        yield Connection(own)


async def respond(response: BrokenResponse, connection: Connection, client: Client) -> None:
    async def send(_message: object) -> None:
        raise AssertionError("uvicorn would write a response")

    await response({"type": "http", "state": {"transport": connection}}, client.receive, send)


def lingers(connection: Connection) -> tuple[int, int]:
    own = connection.get_extra_info("socket")
    on, seconds = struct.unpack("ii", own.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
    return on, seconds


@pytest.mark.parametrize(("sent", "written"), [(0, []), (1, [HEAD + b"0"]), (10, [HEAD + BODY]), (99, [HEAD + BODY])])
def test_a_reset_drops_what_is_not_sent(connection: Connection, sent: int, written: list[bytes]) -> None:
    client = Client()
    asyncio.run(respond(Reset(BODY, sent), connection, client))
    assert connection.done == [*written, "abort"]
    assert lingers(connection) == (1, 0), "the system sends RST in place of FIN"
    assert client.messages == [], "it has waited for the end of the connection"


@pytest.mark.parametrize(("sent", "written"), [(0, HEAD), (4, HEAD + b"0123")])
def test_a_truncated_response_ends_before_its_length(connection: Connection, sent: int, written: bytes) -> None:
    client = Client()
    asyncio.run(respond(Truncated(BODY, sent), connection, client))
    assert connection.done == [written, "close"]
    assert lingers(connection)[0] == 0
    assert client.messages == []


@pytest.mark.parametrize(
    ("after_headers", "written"),
    [(False, []), (True, [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"])],
)
def test_a_stall_ends_with_the_client(connection: Connection, *, after_headers: bool, written: list[bytes]) -> None:
    client = Client()
    client.messages.append("http.disconnect")  # uvicorn repeats it

    async def stall() -> bool:
        stopping = asyncio.Event()
        await respond(Stall(stopping, after_headers=after_headers), connection, client)
        return stopping.is_set()

    assert asyncio.run(stall()) is False
    assert connection.done == [*written, "abort"]
    assert client.messages == [], "it has waited for the end of the connection"


def test_a_stall_ends_with_the_sandbox(connection: Connection) -> None:
    async def stall() -> None:
        stopping = asyncio.Event()
        running = asyncio.create_task(
            respond(Stall(stopping, after_headers=False), connection, WaitingClient(connection))
        )
        for _ in range(20):
            await asyncio.sleep(0)
        assert (running.done(), connection.done) == (False, [])
        stopping.set()
        await running

    asyncio.run(stall())
    assert connection.done == ["abort"]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(0, []), (1, [1]), (CHUNK, [CHUNK]), (CHUNK + 1, [CHUNK, 1]), (3 * CHUNK, [CHUNK] * 3)],
)
def test_padding_comes_in_chunks_between_head_and_tail(size: int, sizes: list[int]) -> None:
    async def read() -> list[bytes]:
        return [chunk async for chunk in pad(b"[", size, b"]")]

    head, *chunks, tail = asyncio.run(read())
    assert (head, tail) == (b"[", b"]")
    assert [len(chunk) for chunk in chunks] == sizes
    assert b"".join(chunks) == b"a" * size


def test_padding_lets_others_run_between_its_chunks() -> None:
    async def read() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running = asyncio.create_task(other())
        async for _ in pad(b"", 5 * CHUNK, b""):
            pass
        running.cancel()
        return turns

    assert asyncio.run(read()) >= 5


def test_the_application_gets_the_connection_beside_its_state(connection: Connection) -> None:
    async def application(_scope: object, _receive: object, _send: object) -> None:
        raise AssertionError

    async def connect() -> WireProtocol:
        config = uvicorn.Config(application, lifespan="off")
        config.load()
        protocol = WireProtocol(config, ServerState(), {"own": 1})
        protocol.connection_made(connection)
        connection.done.clear()
        return protocol

    protocol = asyncio.run(connect())
    assert protocol.transport is connection
    assert protocol.app_state == {"own": 1, "transport": connection}


def test_another_connection_is_an_error_of_ours() -> None:
    async def receive() -> dict[str, str]:
        raise AssertionError

    async def send(_message: object) -> None:
        raise AssertionError

    with pytest.raises(AssertionError):
        asyncio.run(Reset(BODY, 0)({"type": "http", "state": {"transport": object()}}, receive, send))
