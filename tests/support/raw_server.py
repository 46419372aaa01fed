"""A server that answers with any bytes: redirects, slow bodies, decompression bombs, and bytes that are not HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[socket.socket, threading.Event], None]


@dataclass
class Server:
    url: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def listening(
    answer: Answer,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Server]:
    """A server that records what it receives and answers each request with `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)
        scheme = "https" if tls else "http"
        server = Server(f"{scheme}://{host}:{door.getsockname()[1]}")
        thread = threading.Thread(target=_accept, args=(door, server, answer, tls), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(door.getsockname()).close()  # wakes the one who waits at the door
            thread.join()


def _accept(door: socket.socket, server: Server, answer: Answer, tls: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = door.accept()
        with connection:
            if server.over.is_set():
                return
            server.connections += 1
            with contextlib.suppress(OSError):
                connection.settimeout(10)
                _serve(tls.wrap_socket(connection, server_side=True) if tls else connection, server, answer)


def _serve(connection: socket.socket, server: Server, answer: Answer) -> None:
    with connection:
        while request := _read_request(connection):
            server.requests.append(request)
            answer(connection, server.over)


TLS_HELLO = b"\x16\x03"


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        if not (came := connection.recv(65536)):
            return b""
        request += came
        if request.startswith(TLS_HELLO):
            return request
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def always(answer: bytes) -> Answer:
    return lambda connection, _over: connection.sendall(answer)


def then_closed(answer: bytes) -> Answer:
    def send(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return send


def dripping(head: bytes, drop: bytes, pause: float = 0.02) -> Answer:
    """An answer: `head`, then `drop` repeatedly, faster than any read timeout, until the client disconnects."""

    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(drop)

    return send


def answered(body: bytes, status: bytes = b"200 OK", **headers: str) -> bytes:
    lines = [b"%b: %b" % (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body), b"", body])


PAGE = b'{"cursor":"c","has_more":false,"items":[{"uuid":"A","timestamp":"2026-03-04T05:06:07Z"}]}'


def page_answer() -> bytes:
    return answered(PAGE, Content_Type="application/json")
