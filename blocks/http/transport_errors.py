"""What went wrong between here and a server, in words: for 1Password's API and for SIEMs alike."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOO_MANY_REQUESTS = 429
TRANSIENT = frozenset({408, 425, TOO_MANY_REQUESTS})
RETRY_AFTER_MAX = 3600.0  # seconds; the longer of the Events API's two rate windows
_BROKEN_OFF = ("disconnected", "closed connection")
"""In the words of httpcore and of h11: the other side hung up. All else is no HTTP."""


def is_transient(status: int) -> bool:
    """True for a status that ends by itself: 408, 425, 429 and 5xx."""
    return status in TRANSIENT or status >= httpx.codes.INTERNAL_SERVER_ERROR


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the server requests to wait, from either form of Retry-After; at most an hour."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_MAX)
    try:
        date = parsedate_to_datetime(value)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - clock.now()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX)


def environment_error() -> ThirdPartyConfigError:
    """The error for certificates or proxies in the environment that cannot be used."""
    return ThirdPartyConfigError(
        "The certificates or the proxy that the environment names cannot be used.",
        hint="Check SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.",
        code="environment",
    )


def transport_error(error: httpx.HTTPError, host: str, setting: str = "base_url") -> ThirdPartyGenericError:
    """The error behind a request without an answer. It distinguishes name, connection, TLS and timeout.

    `setting` is what a person sets the address with, for the hints.
    """
    causes = tuple(_causes(error))
    if any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
        return _error("dns", f"The name {host} could not be resolved.", f"Check {setting} and this machine's DNS.")
    if verification := next((c for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None):
        return _error(
            "tls",
            f"The certificate of {host} was refused: {verification.verify_message}. Nothing was sent.",
            f"Check {setting} and the clock; where a proxy inspects TLS, set SSL_CERT_FILE to its certificate.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _error("tls", f"No TLS connection to {host} could be made.", "Check what stands between.")
    if isinstance(error, httpx.TimeoutException):
        return _of_timeout(error, host)
    if isinstance(error, httpx.ProxyError):
        return _error("proxy", f"The proxy did not pass the request on to {host}.", "Check HTTPS_PROXY.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _error("connect", f"{host} refused the connection.", f"Check {setting} and the firewall.")
    if isinstance(error, httpx.ConnectError):
        return _error("connect", f"{host} could not be reached.", "Check the network and the firewall.")
    return _of_answer(error, host, setting)


def _of_timeout(error: httpx.TimeoutException, host: str) -> ThirdPartyGenericError:
    if isinstance(error, httpx.ConnectTimeout):
        return _error("connect-timeout", f"{host} did not accept a connection in time.", "Check the firewall.")
    return _error("timeout", f"{host} did not answer in time.", "The request is retried.")


def _of_answer(error: httpx.HTTPError, host: str, setting: str) -> ThirdPartyGenericError:
    """Something came, but no whole answer."""
    if isinstance(error, httpx.DecodingError):
        return _error("invalid-body", f"{host} sent a body that cannot be unpacked.", "The request is retried.")
    if isinstance(error, httpx.RemoteProtocolError) and not any(words in str(error) for words in _BROKEN_OFF):
        return _error(
            "invalid-answer", f"What {host} answered is not HTTP.", f"Check {setting}, and what stands between."
        )
    return _error("reset", f"The connection to {host} broke off in the middle.", "The request is retried.")


def too_slow(seconds: float) -> ThirdPartyGenericError:
    return _error("timeout", f"The answer took longer than {seconds:g} seconds.", "The request is retried.")


def too_large(service: str, body_max: int) -> ThirdPartyGenericError:
    """`service` is what a person calls the other side, as the subject of a sentence."""
    return _error(
        "too-large",
        f"{service} answered with more than {body_max:,} bytes; the rest was not read.",
        "The request is retried. If it goes on, look for a proxy that stands between.",
    )


def _error(code: str, message: str, hint: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(message, hint=hint, code=code)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
