"""Invalid and endless responses of a server, for tests of every HTTP client."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Mapping

BOMB = gzip.compress(bytes(100_000_000), 9)
PEAK_MAX = 40_000_000  # bytes; the longest answer of all that are taken has 8 MiB, and a request some megabytes
_OK = b"HTTP/1.1 200 OK\r\n"
FOREVER = 3000  # long enough that the deadline or the bound comes first, and no test hangs where there is neither
HOSTILE: Mapping[str, tuple[Mapping[str, Any], set[str]]] = {
    "a gzip bomb": (
        {"start": b"%bContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (_OK, len(BOMB), BOMB)},
        {"too-large"},
    ),
    "a body that drips": (
        {"start": _OK + b"Content-Length: 99999\r\n\r\n", "drip": b" ", "drips": FOREVER, "seconds": 0.01},
        {"timeout"},
    ),
    "headers that drip": ({"start": _OK, "drip": b"X: x\r\n", "drips": FOREVER, "seconds": 0.01}, {"timeout"}),
    "headers without end": ({"start": _OK, "drip": b"X: x\r\n" * 1000, "drips": FOREVER}, {"invalid-answer"}),
    "one header without end": ({"start": _OK + b"X: ", "drip": b"x" * 9999, "drips": FOREVER}, {"invalid-answer"}),
    "a chunked body without end": (
        {
            "start": _OK + b"Transfer-Encoding: chunked\r\n\r\n",
            "drip": b"10000\r\n" + bytes(0x10000) + b"\r\n",
            "drips": FOREVER,
        },
        {"too-large"},
    ),
    "a body without end": ({"start": _OK + b"\r\n", "drip": bytes(0x10000), "drips": FOREVER}, {"too-large"}),
    "100 Continue without end": (
        {"drip": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "drips": FOREVER},
        {"too-large", "timeout"},
    ),
    "a Content-Length that is too long": ({"start": _OK + b"Content-Length: 99999\r\n\r\n{}"}, {"reset"}),
    "a Content-Length that is none": ({"start": _OK + b"Content-Length: many\r\n\r\n{}"}, {"invalid-answer"}),
    "garbage": ({"start": bytes(range(256)) * 4 + b"\r\n\r\n"}, {"invalid-answer"}),
    "nothing": ({"start": b""}, {"reset"}),
}
"""By name: the response (members of `receivers.behaviour.Behaviour`), and the error codes that the client may raise."""


def hostile(hostility: str) -> Callable[[socket.socket, threading.Event], None]:
    """A response of HOSTILE as an answer for `raw_server.listening`."""
    sent, _ = HOSTILE[hostility]

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(sent.get("start", b""))
        for _ in range(sent.get("drips", 0)):
            if over.wait(sent.get("seconds", 0)):
                return
            connection.sendall(sent["drip"])
        connection.close()

    return answer
