"""TLS on a connected socket that reports how the peer ended the session.

Python's own TLS sockets do not: their `unwrap` treats a fatal alert like the peer's close_notify.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

LINGER_SECONDS = 1.0  # for the end of TCP, after the end of TLS
_CHUNK = 64 * 1024  # bytes encrypted before they are sent
_READ = 64 * 1024

Result = TypeVar("Result")


class TlsChannel:
    """One connection. Every method raises OSError, of which ssl.SSLError is one. Close the socket after use."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._socket = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    def handshake(self) -> str:
        """Return the version of TLS. After it, the peer's certificate and name are verified."""
        try:
            self._until_done(self._tls.do_handshake)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush()  # sends the alert with the reason
            raise
        return self._tls.version() or "TLS"

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
            if self._out.pending >= _CHUNK:
                self._flush()
        self._flush()

    def finish(self, *, patient: bool = True) -> bool:
        """End the session, and wait for the peer to end it. Returns whether the peer sent close_notify.

        `patient`: end TCP only if the peer does not end after our close_notify, because some proxies drop its answer
        then. Raises ConnectionResetError if the peer has not read everything.
        """
        self._require_open()
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()  # nothing is unread, so it only writes
        self._flush()
        said = self._answer(patient=patient)
        self._read_end()
        if self._is_unread():
            raise ConnectionResetError
        return said

    def alert(self) -> ssl.SSLError | None:
        """Return the alert with which the peer interrupted the session, if any: it is unread after a failed write."""
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):
            self._receive()
        try:
            while self._tls.read(_READ):
                pass
        except ssl.SSLError as error:
            return error if "ALERT" in (error.reason or "") else None
        return None

    def _require_open(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._tls.read(_READ):
                pass
            raise ConnectionResetError  # it sent close_notify first, so it reads no further

    def _answer(self, *, patient: bool) -> bool:
        if patient:
            try:
                return self._said_close_notify()
            except TimeoutError:
                self._socket.settimeout(LINGER_SECONDS)
        # Some receivers wait for the end of TCP. Without this, both sides would wait for each other.
        self._socket.shutdown(socket.SHUT_WR)
        return self._said_close_notify()

    def _said_close_notify(self) -> bool:
        try:
            while self._until_done(lambda: self._tls.read(_READ)):
                pass
        except ssl.SSLZeroReturnError:
            return True
        except ssl.SSLEOFError:
            return False
        return True

    def _read_end(self) -> None:
        # A receiver that stops may send close_notify and never read what we sent. Then it resets the connection.
        self._socket.settimeout(LINGER_SECONDS)
        with contextlib.suppress(TimeoutError):
            while self._socket.recv(_READ):
                pass

    def _is_unread(self) -> bool:
        """Return whether the peer has not acknowledged all bytes of TCP, or has reset the connection."""
        left = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return bool(failed) or struct.unpack("i", left)[0] > 0

    def _until_done(self, step: Callable[[], Result]) -> Result:
        while True:
            # Send and receive outside of the handler, so that their errors are not suppressed.
            with contextlib.suppress(ssl.SSLWantReadError):
                result = step()
                break
            self._flush()
            self._receive()
        self._flush()
        return result

    def _receive(self) -> None:
        if data := self._socket.recv(_READ):
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        if self._out.pending:
            self._socket.sendall(self._out.read())
