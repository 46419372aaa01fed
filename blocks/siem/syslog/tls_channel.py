"""TLS on a connected socket, which tells how the other side has ended it.

Python's own TLS sockets do not: their `unwrap` takes a fatal alert for the other side's close_notify.
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

LINGER_SECONDS = 1.0  # for the connection below TLS, when all is said
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
        """Returns the version of TLS. The other side's certificate and name are good then."""
        try:
            self._until_done(self._tls.do_handshake)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush()  # tells the other side why
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
        """End the connection, and wait for the other side to end it. Whether it said close_notify, as TLS has it.

        `patient`: our end of TCP follows only where it does not end by our close_notify, since some proxies cut off
        its answer at that. Raises ConnectionResetError where it has not read all that was sent.
        """
        self._require_open()
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()  # nothing stands unread, so it only writes
        self._flush()
        said = self._answer(patient=patient)
        self._read_end()
        if self._is_unread():
            raise ConnectionResetError
        return said

    def alert(self) -> ssl.SSLError | None:
        """Why the other side broke off, where it said so before: it stands unread behind our failed write."""
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
            raise ConnectionResetError  # it said close_notify before we did: it does not read on

    def _answer(self, *, patient: bool) -> bool:
        if patient:
            try:
                return self._said_close_notify()
            except TimeoutError:
                self._socket.settimeout(LINGER_SECONDS)
        # A receiver that waits for the end of TCP alone would never end, and we would wait for it.
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
        # A receiver that stops may send its close_notify by itself, and never read what we sent: then it resets us.
        self._socket.settimeout(LINGER_SECONDS)
        with contextlib.suppress(TimeoutError):
            while self._socket.recv(_READ):
                pass

    def _is_unread(self) -> bool:
        """Whether the other machine has not acknowledged all bytes, or has reset the connection."""
        left = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return bool(failed) or struct.unpack("i", left)[0] > 0

    def _until_done(self, step: Callable[[], Result]) -> Result:
        while True:
            # Nothing is sent or received within the handler: what fails there is no problem of TLS.
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
