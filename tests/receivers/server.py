"""A SIEM that receives events over HTTP, in a thread of a test. `process` has one that a test can kill.

`receivers` is a namespace package: pytest has `tests` on its path, and other processes get it from PYTHONPATH.
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
from receivers.request import Request, Vendor, VendorResponse, decompress

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

CONTROL = "/_receiver/"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time: close sends RST


class Receiver:
    """One vendor on one port of this machine. `keep`: `requests` has all requests, for a test to check."""

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
            remember(self.arrivals.counts())  # what it stored before it was restarted
        self.requests: list[Request] = []
        self.request_count = 0
        self.closing = threading.Event()
        self._keep = keep
        self._lock = threading.Lock()
        self._server = _Server(self, port)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def behave(self, kind: Kind, times: int | None = 1, **options: Any) -> None:
        """Behave like this for the next requests; see `Behaviour` for the options."""
        self.script.add(Behaviour(kind=kind, **options), times)

    def clear(self) -> None:
        self.script.clear()

    def arrived(self) -> Counter[str]:
        """Return how often each uuid was accepted."""
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
            self.request_count += 1
            if self._keep:
                self.requests.append(request)


@contextlib.contextmanager
def receiving(vendor: Vendor, *, tls: ssl.SSLContext | None = None, keep: bool = True) -> Iterator[Receiver]:
    """Run a receiver in a thread, and stop it on exit."""
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
        """Ignore clients that disconnect or reject the certificate."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = decompress(self._read_body(), self.headers.get("Content-Encoding", ""))
        if self.path.startswith(CONTROL):
            self._answer(_control(receiver, self.command, self.path, body))
            return
        behaviour = receiver.script.next(self.path, len(body))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, self.path, headers, body, half=behaviour is not None and behaviour.kind == "half"
        )
        receiver.count(request)
        self._behave(request, behaviour)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 - names of the standard library

    def _behave(self, request: Request, behaviour: Behaviour | None) -> None:
        kind = behaviour.kind if behaviour else "accept"
        if behaviour and kind == "answer":
            self._answer(_scripted_response(request, behaviour))
        elif kind == "too-large":
            self._answer(VendorResponse(status=413, body=b"too large"))
        elif kind == "reset":
            self._reset()
        elif behaviour and kind == "raw":
            self._answer_raw(behaviour)
        elif kind == "stall":
            self._wait_for_disconnect()
        else:
            self._accept(request, behaviour)

    def _accept(self, request: Request, behaviour: Behaviour | None) -> None:
        receiver = self.server.receiver
        response = receiver.vendor.respond(request)
        receiver.arrivals.add(response.uuids)
        if behaviour and behaviour.kind == "drop":
            self._reset()
            return
        if behaviour and behaviour.kind == "slow":
            receiver.closing.wait(behaviour.seconds)
        self._answer(response)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, response: VendorResponse) -> None:
        self.send_response_only(response.status)
        for name, value in {"Content-Length": str(len(response.body)), **response.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # A plain close: a shutdown, or a close_notify of TLS, would be an orderly end.
        self.rfile.close()
        self.wfile.close()
        self.close_connection = True
        self.connection.close()

    def _answer_raw(self, behaviour: Behaviour) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(behaviour.start)
            self.wfile.flush()
            for _ in range(behaviour.drips):
                if self.server.receiver.closing.wait(behaviour.seconds):
                    return
                self.wfile.write(behaviour.drip)
                self.wfile.flush()

    def _wait_for_disconnect(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def log_message(self, *_: object) -> None:
        pass


def _scripted_response(request: Request, behaviour: Behaviour) -> VendorResponse:
    body = behaviour.body.encode()
    if behaviour.echo:
        body += "\n".join([request.path, *(f"{name}: {value}" for name, value in request.headers.items())]).encode()
    return VendorResponse(status=behaviour.status, headers=behaviour.headers, body=body)


def _control(receiver: Receiver, method: str, path: str, body: bytes) -> VendorResponse:
    """Handle a control request: POST behave {"kind", "times", …}, DELETE behave, GET counts, GET arrived."""
    what = path.removeprefix(CONTROL)
    if what == "behave" and method == "DELETE":
        receiver.clear()
    elif what == "behave":
        options = msgspec.json.decode(body)
        times = options.pop("times", 1)
        receiver.script.add(msgspec.convert(options, Behaviour), times)
    elif what == "arrived":
        return VendorResponse(body=msgspec.json.encode(receiver.arrived()))
    arrivals = receiver.arrivals
    counts = {"requests": receiver.request_count, "events": arrivals.events, "distinct": arrivals.distinct}
    return VendorResponse(body=msgspec.json.encode(counts))
