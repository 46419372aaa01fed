"""Delivery of syslog messages over TLS by RFC 5425.

The protocol has no acknowledgement. But a receiver must answer our close_notify with its own (RFC 5425 section 4.4),
and it reads ours only after all messages. So each batch has a connection of its own, and it counts as delivered when
the receiver has read it to the end. That does not mean that the receiver has written it to its disk.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.http import transport_errors
from blocks.siem.delivery.protocol import NoConfirmationError
from blocks.siem.syslog.tls_channel import TlsChannel

if TYPE_CHECKING:
    from blocks.errors import SourceError

CONNECT_SECONDS = 10.0
STALL_SECONDS = 60.0  # without a transferred byte; also the time that a receiver may take for a batch before it closes

_OF_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "UNKNOWN_PSK_IDENTITY")
_HINTS = {
    "dns": "Check the host of the receiver and this machine's DNS.",
    "tls": "Check the host and the clock. If an authority of your own issued the certificate, add it to the block.",
    "timeout": "Unconfirmed messages are sent again. Check the load of the receiver.",
    "reset": "Unconfirmed messages are sent again. See the receiver's log; it may require a client certificate.",
}
_HINT = "Check the host and the port of the receiver, and the firewall."

_without_confirmation: set[tuple[str, int]] = set()
"""Hosts and ports that did not confirm the last batch of this process. They first get an empty session."""


def frame(message: bytes) -> bytes:
    """Return a message with its length in octets before it (RFC 5425 section 4.3)."""
    return b"%d %b" % (len(message), message)


def message_length(frame: bytes) -> int:
    """Return the length in octets of the message in a frame."""
    return int(frame[: frame.index(b" ")])


@dataclass(frozen=True, slots=True)
class Receiver:
    """One syslog receiver. `confirming`: a connection that ends without close_notify counts as broken off."""

    host: str
    port: int
    context: ssl.SSLContext
    confirms: bool = True

    def send(self, frames: bytes) -> str:
        """Send frames and wait until the receiver has read all of them. Returns the version of TLS.

        Raises ThirdPartyConfigError if the receiver rejects our certificate, NoConfirmationError if it ended without
        close_notify, else ThirdPartyGenericError. After an error, some of the messages may have arrived.
        """
        if frames and (self.host, self.port) in _without_confirmation:
            self._exchange(b"")  # raises if it still does not confirm, so that no message is sent twice
        return self._exchange(frames)

    def _exchange(self, frames: bytes) -> str:
        with self._connect() as connection:
            channel = TlsChannel(connection, self.context, self.host)
            version = self._handshake(channel)
            connection.settimeout(STALL_SECONDS)
            try:
                channel.send(frames)
                confirmed = channel.finish(patient=self.confirms)
            except OSError as error:
                raise self._connection_error(channel.alert() or error) from None
            if self.confirms and not confirmed:
                _without_confirmation.add((self.host, self.port))
                raise self._unconfirmed_error()
            if frames:
                _without_confirmation.discard((self.host, self.port))
            return version

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        except OSError as error:
            raise self._connect_error(error) from None

    def _handshake(self, channel: TlsChannel) -> str:
        try:
            return channel.handshake()
        except OSError as error:
            raise self._connection_error(error, connected=False) from None

    def _connect_error(self, error: OSError) -> ThirdPartyGenericError:
        slow = isinstance(error, TimeoutError)
        return self._transport_error(httpx.ConnectTimeout("") if slow else httpx.ConnectError(""), error)

    def _connection_error(self, error: OSError, *, connected: bool = True) -> SourceError:
        if isinstance(error, ssl.SSLError) and _is_certificate_alert(error):
            return self._certificate_error(error)
        if isinstance(error, TimeoutError):
            return self._transport_error(httpx.ReadTimeout(""), error)
        return self._transport_error(httpx.ReadError("") if connected else httpx.ConnectError(""), error)

    def _transport_error(self, wrapped: httpx.HTTPError, error: OSError) -> ThirdPartyGenericError:
        wrapped.__cause__ = error
        found = transport_errors.transport_error(wrapped, self.host)
        return ThirdPartyGenericError(found.message, hint=_HINTS.get(found.code, _HINT), code=found.code)

    def _certificate_error(self, error: ssl.SSLError) -> ThirdPartyConfigError:
        said = (error.reason or "").lower().replace("_", " ")
        return ThirdPartyConfigError(
            f"{self.host} rejects the client certificate, or requires one ({said}).",
            hint="Nothing is lost. Set client_certificate and client_key to a pair that the receiver accepts.",
            code="client-certificate",
        )

    def _unconfirmed_error(self) -> NoConfirmationError:
        return NoConfirmationError(
            f"{self.host} ended the connection without a close_notify of TLS: it may have read only a part.",
            hint=(
                "The batch is sent again after an empty session is confirmed. If this happens every time, the receiver"
                " does not follow RFC 5425 (such as rsyslog's gtls driver): configure another driver, such as ossl, or"
                " set confirm to false."
            ),
            code="unconfirmed",
        )


def _is_certificate_alert(error: ssl.SSLError) -> bool:
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    reason = error.reason or ""
    return "ALERT" in reason and any(word in reason for word in _OF_OUR_CERTIFICATE)
