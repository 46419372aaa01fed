"""systemd's notify and watchdog protocol (sd_notify(3)), for `up` as a service of Type=notify."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import MutableMapping

ADDRESS, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Systemd:
    """Reports the state of this process to systemd. Without systemd the methods do nothing. None blocks or raises."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._every = watchdog_seconds / 2 if watchdog_seconds else None
        self._last = 0.0
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """The systemd that started this process. Removes its variables, so that no child reports in this one's name."""
        address = environment.pop(ADDRESS, None)
        usec, pid = environment.pop(WATCHDOG_USEC, ""), environment.pop(WATCHDOG_PID, "")
        is_ours = pid in {"", str(os.getpid())}
        seconds = int(usec) / 1e6 if usec.isascii() and usec.isdigit() and is_ours else None
        return cls(address, seconds)

    def ready(self) -> None:
        """Report that the service has started and works."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """Report that the main loop runs. Call it in each round; it sends twice per watchdog interval of systemd."""
        now = time.monotonic()
        if self._every is not None and (not self._last or now - self._last >= self._every):
            self._last = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A socket that is missing or full must neither block nor end this process.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
