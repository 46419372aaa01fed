"""What a receiver is told to do with the next requests, instead of taking and answering them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal

import msgspec

Kind = Literal["answer", "too-large", "half", "slow", "stall", "reset", "drop", "raw"]

Bytes = bytes  # `bytes` is a member of Behaviour


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """`answer`: this status, headers and body, and nothing is taken; `echo` repeats the request's headers and path.

    `too-large`: 413 to a body of more than `bytes`, unpacked. `half`: every second record is refused for good.
    `slow`: taken, and answered after `seconds`. `stall`: read, and never answered. `reset`: not taken, the connection
    is reset. `drop`: taken, and the connection is reset instead of an answer. `raw`: not taken, and answered
    with `start`, whatever it is, then with `drip`, `drips` times, each after `seconds`.
    `path`: only requests whose path has it.
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
    """Behaviours in the order in which they were told, each for so many requests (None: until cleared)."""

    def __init__(self) -> None:
        self._told: list[tuple[Behaviour, int | None]] = []
        self._lock = threading.Lock()

    def add(self, behaviour: Behaviour, times: int | None) -> None:
        with self._lock:
            self._told.append((behaviour, times))

    def clear(self) -> None:
        with self._lock:
            self._told.clear()

    def next(self, path: str, size: int) -> Behaviour | None:
        with self._lock:
            for place, (behaviour, times) in enumerate(self._told):
                if behaviour.concerns(path, size):
                    self._count(place, behaviour, times)
                    return behaviour
        return None

    def _count(self, place: int, behaviour: Behaviour, times: int | None) -> None:
        if times == 1:
            del self._told[place]
        elif times is not None:
            self._told[place] = (behaviour, times - 1)
