"""One deadline and one bound in bytes for a whole exchange: name, connection, TLS, request, headers and body.

httpx bounds each wait for bytes, but neither the number of waits nor the number of bytes.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx

_WRITE_BYTES = 16 * 1024  # one record of TLS; below, the time of one write is that of one wait


class ExchangeLimits(threading.local):
    """Until when the exchange of this thread has to be done, and how many more bytes it may receive."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._left = 0
        self.is_flooded = False
        """Whether the other side sent more bytes than it may."""

    def start(self, seconds: float, received_max: int) -> None:
        self._at = time.monotonic() + seconds
        self._left = received_max
        self.is_flooded = False

    def shorten(self, seconds: float) -> None:
        """Move the deadline forward, never back."""
        self._at = min(self._at, time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._at

    def bound(self, timeout: float | None) -> float:
        """The seconds that one wait may take. Raises httpcore.ReadTimeout once the deadline has passed."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left if timeout is None else min(timeout, left)

    def count(self, received: int) -> None:
        """Raises httpcore.ReadError where the exchange has received too much."""
        self._left -= received
        if self._left < 0:
            self.is_flooded = True
            raise httpcore.ReadError


def enforce(limits: ExchangeLimits, http: httpx.Client) -> None:
    """Make each connection of the client, through a proxy or not, keep to the limits."""
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001 - httpx has no way in
        if transport is not None:
            pool: Any = transport._pool  # type: ignore[attr-defined]  # noqa: SLF001
            pool._network_backend = _Network(pool._network_backend, limits)  # noqa: SLF001


class _Network(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, limits: ExchangeLimits) -> None:
        self._inner, self._limits = inner, limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """To the first address that takes a connection. Each of them may take `timeout`, all of them the deadline."""
        failed: Exception | None = None
        for address in _addresses(host, port):
            bounded = self._limits.bound(timeout)
            try:
                stream = self._inner.connect_tcp(address, port, bounded, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(stream, self._limits)
        raise failed or httpcore.ConnectError(f"{host} has no address")


def _addresses(host: str, port: int) -> tuple[str, ...]:
    """How long it takes is the system's affair. Raises httpcore.ConnectError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, limits: ExchangeLimits) -> None:
        self._inner, self._limits = inner, limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, self._limits.bound(timeout))
        self._limits.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _WRITE_BYTES):
            self._inner.write(buffer[at : at + _WRITE_BYTES], self._limits.bound(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._limits.bound(timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._limits)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
