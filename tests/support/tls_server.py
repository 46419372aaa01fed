"""A small HTTPS server with a certificate of any kind, and with a clock of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography import x509
from support.certificates import server_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass
class TlsServer:
    url: str
    requests: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def answering(
    directory: Path,
    shown: x509.Certificate | None = None,
    *,
    ahead: float | None = 0.0,
    headers: Mapping[str, str] | None = None,
    status: int = 401,
    host: str = "localhost",
) -> Iterator[TlsServer]:
    """A server whose Date is `ahead` by so many seconds (None: no Date header); it records the headers of requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            opened.requests.append(dict(self.headers))
            self.send_response_only(status)
            if ahead is not None:
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:  # a client that refuses the certificate
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if shown is not None:
            server.socket = server_context(directory, shown).wrap_socket(server.socket, server_side=True)
        opened = TlsServer(f"http{'s' if shown else ''}://{host}:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield opened
        server.shutdown()
