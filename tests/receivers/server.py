"""A SIEM that takes events over HTTP: in a thread for unit tests; see `process` for one that can be killed.

`receivers` is a namespace package: pytest has `tests` on its path, and other processes get it by PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
from receivers.arrivals import Arrivals
from receivers.behaviour import Behaviour, Kind, Script
from receivers.request import Request, Taken, Vendor, unpacked

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

CONTROL = "/_receiver/"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time: close sends RST


class Receiver:
    """One vendor behind one port of this machine. `keep`: requests are kept in `requests`, for tests to look at."""

    def __init__(
        self,
        vendor: Vendor,
        *,
        port: int = 0,
        file: Path | None = None,
        tls: ssl.SSLContext | None = None,
        keep: bool = True,
    ) -> None:
        self.vendor = vendor
        self.script = Script()
        self.arrivals = Arrivals(file)
        if remember := getattr(vendor, "remember", None):
            remember(self.arrivals.counts())  # what it stored in an earlier life
        self.requests: list[Request] = []
        self.asked = 0
        self.closing = threading.Event()
        self._keep = keep
        self._lock = threading.Lock()
        self._server = _Server(self, port)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def behave(self, kind: Kind, times: int | None = 1, **options: Any) -> None:
        """Do this with the next requests; see `Behaviour` for the options."""
        self.script.add(Behaviour(kind=kind, **options), times)

    def clear(self) -> None:
        self.script.clear()

    def arrived(self) -> Counter[str]:
        """How often each uuid was taken."""
        return self.arrivals.counts()

    def serve(self) -> None:
        self._server.serve_forever(0.01)

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self.arrivals.close()

    def count(self, request: Request) -> None:
        with self._lock:
            self.asked += 1
            if self._keep:
                self.requests.append(request)


@contextlib.contextmanager
def receiving(vendor: Vendor, *, tls: ssl.SSLContext | None = None, keep: bool = True) -> Iterator[Receiver]:
    """A receiver in a thread, stopped on leaving."""
    receiver = Receiver(vendor, tls=tls, keep=keep)
    thread = threading.Thread(target=receiver.serve, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, receiver: Receiver, port: int) -> None:
        self.receiver = receiver
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """A client that goes away, or refuses the certificate, is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = unpacked(self._read_body(), self.headers.get("Content-Encoding", ""))
        if self.path.startswith(CONTROL):
            self._answer(_controlled(receiver, self.command, self.path, body))
            return
        told = receiver.script.next(self.path, len(body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, half=told is not None and told.kind == "half")
        receiver.count(request)
        self._behave(request, told)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 - names of the standard library

    def _behave(self, request: Request, told: Behaviour | None) -> None:
        kind = told.kind if told else "take"
        if told and kind == "answer":
            self._answer(_told(request, told))
        elif kind == "too-large":
            self._answer(Taken(status=413, body=b"too large"))
        elif kind == "reset":
            self._reset()
        elif told and kind == "raw":
            self._answer_raw(told)
        elif kind == "stall":
            self._wait_for_the_client_to_go()
        else:
            self._take(request, told)

    def _take(self, request: Request, told: Behaviour | None) -> None:
        receiver = self.server.receiver
        taken = receiver.vendor.take(request)
        receiver.arrivals.add(taken.uuids)
        if told and told.kind == "drop":
            self._reset()
            return
        if told and told.kind == "slow":
            receiver.closing.wait(told.seconds)
        self._answer(taken)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, taken: Taken) -> None:
        self.send_response_only(taken.status)
        for name, value in {"Content-Length": str(len(taken.body)), **taken.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(taken.body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # A plain close: a shutdown, or a goodbye of TLS, would be an orderly end.
        self.rfile.close()
        self.wfile.close()
        self.close_connection = True
        self.connection.close()

    def _answer_raw(self, told: Behaviour) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(told.start)
            self.wfile.flush()
            for _ in range(told.drips):
                if self.server.receiver.closing.wait(told.seconds):
                    return
                self.wfile.write(told.drip)
                self.wfile.flush()

    def _wait_for_the_client_to_go(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def log_message(self, *_: object) -> None:
        pass


def _told(request: Request, told: Behaviour) -> Taken:
    body = told.body.encode()
    if told.echo:
        body += "\n".join([request.path, *(f"{name}: {value}" for name, value in request.headers.items())]).encode()
    return Taken(status=told.status, headers=told.headers, body=body)


def _controlled(receiver: Receiver, method: str, path: str, body: bytes) -> Taken:
    """Control by HTTP: POST behave {"kind", "times", …}, DELETE behave, GET counts, GET arrived."""
    what = path.removeprefix(CONTROL)
    if what == "behave" and method == "DELETE":
        receiver.clear()
    elif what == "behave":
        wish = msgspec.json.decode(body)
        times = wish.pop("times", 1)
        receiver.script.add(msgspec.convert(wish, Behaviour), times)
    elif what == "arrived":
        return Taken(body=msgspec.json.encode(receiver.arrived()))
    arrivals = receiver.arrivals
    counts = {"requests": receiver.asked, "events": arrivals.events, "distinct": arrivals.distinct}
    return Taken(body=msgspec.json.encode(counts))
