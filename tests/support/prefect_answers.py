"""A fake Prefect API on loopback with planned answers, for tests of clients that must handle every answer.

Tests of how Prefect handles a request use a real server.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.raw_server import Server, answered, listening

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Iterator


@dataclass
class PrefectAnswers:
    """`status` and `body` make the next answer; `sent` has the JSON of each request by path."""

    server: Server | None = None
    status: bytes = b"201 Created"
    body: object = None

    def answer(self, connection: socket.socket, _over: threading.Event) -> None:
        assert self.server
        known = b" /api/csrf-token" not in self.server.requests[-1].split(b"\r\n")[0]
        body = json.dumps(self.body).encode() if known else b"{}"
        status = self.status if known else b"404 Not Found"
        connection.sendall(answered(body, status, Content_Type="application/json"))

    def sent(self, path: str) -> list[Any]:
        assert self.server
        parts = [request.partition(b"\r\n\r\n") for request in self.server.requests]
        return [json.loads(body) for head, _, body in parts if head.split()[1] == f"/api{path}".encode()]


@contextmanager
def prefect_answers() -> Iterator[PrefectAnswers]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    answers = PrefectAnswers()
    with listening(answers.answer) as server:
        answers.server = server
        with temporary_settings({PREFECT_API_URL: f"{server.url}/api"}):
            yield answers
