"""Notes every address outside this machine that a Python process connects to or resolves."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", None, "")  # noqa: S104 - compared, not bound


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if (host.decode() if isinstance(host, bytes) else host) not in LOCAL:
        with Path(os.environ["STAND_IN_LEAKS"]).open("a") as file:
            file.write(f"{event} {host} {sys.argv}\n")


sys.addaudithook(note)
