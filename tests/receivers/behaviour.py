"""Scripted behaviour of a receiver for its next requests, instead of accepting them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal

import msgspec

Kind = Literal["answer", "too-large", "half", "slow", "stall", "reset", "drop", "raw"]

Bytes = bytes  # `bytes` is a member of Behaviour


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """`answer`: this status, headers and body, and nothing is accepted; `echo` repeats the request's headers and path.

    `too-large`: 413 to a body of more than `bytes`, uncompressed. `half`: every second record is rejected.
    `slow`: accepted, and answered after `seconds`. `stall`: read, and never answered. `reset`: not accepted, and the
    connection is reset. `drop`: accepted, and the connection is reset instead of an answer. `raw`: not accepted, and
    answered with the bytes `start`, then `drips` times with `drip`, each after `seconds`.
    `path`: only requests whose path contains it.
    """

    kind: Kind
    status: int = 200
    headers: Mapping[str, str] = {}
    body: str = ""
    start: Bytes = b""
    echo: bool = False
    bytes: int = 0
    seconds: float = 0.0
    drip: Bytes = b""
    drips: int = 0
    path: str = ""

    def concerns(self, path: str, size: int) -> bool:
        return self.path in path and (self.kind != "too-large" or size > self.bytes)


class Script:
    """Behaviours in order, each for so many requests (None: until cleared)."""

    def __init__(self) -> None:
        self._behaviours: list[tuple[Behaviour, int | None]] = []
        self._lock = threading.Lock()

    def add(self, behaviour: Behaviour, times: int | None) -> None:
        with self._lock:
            self._behaviours.append((behaviour, times))

    def clear(self) -> None:
        with self._lock:
            self._behaviours.clear()

    def next(self, path: str, size: int) -> Behaviour | None:
        with self._lock:
            for place, (behaviour, times) in enumerate(self._behaviours):
                if behaviour.concerns(path, size):
                    self._count(place, behaviour, times)
                    return behaviour
        return None

    def _count(self, place: int, behaviour: Behaviour, times: int | None) -> None:
        if times == 1:
            del self._behaviours[place]
        elif times is not None:
            self._behaviours[place] = (behaviour, times - 1)
