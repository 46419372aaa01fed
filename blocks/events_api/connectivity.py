"""Look at the way to an Events API server, step by step, without a token: its name, its certificate, its clock."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from blocks import clock
from blocks.errors import ThirdPartyGenericError
from blocks.http import proxies, transport_errors
from blocks.http.client import HttpClient
from blocks.http.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

# Caches keep no answer of this address, so its Date is the server's own.
_PATH = "/api/v2/auth/introspect"
_CONNECT_SECONDS = 5.0
_HALF_SECOND = 0.5  # what the Date header leaves out


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server showed and this machine's authorities confirm; it expires at `expires_at` (seconds since 1970)."""

    issuer: str
    expires_at: float
    tls: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A server that answers. `ahead`: by how many seconds its clock is ahead of this machine's; None if unknown."""

    certificate: Certificate | None
    ahead: float | None


def proxy_of(base_url: str) -> str | None:
    """`host:port` of the proxy that the environment names for this URL, without its password; None for none."""
    if is_loopback(httpx.URL(base_url).host):
        return None
    text = proxies.proxy_of(base_url)
    if text is None:
        return None
    try:
        proxy = httpx.URL(text)
    except httpx.InvalidURL:
        raise transport_errors.environment_error() from None
    return f"{proxy.host}:{proxy.port}" if proxy.port else proxy.host


def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a host. Raises ThirdPartyGenericError. How long it takes is the system's affair."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ThirdPartyGenericError(
            f"The name {host} could not be resolved.", hint="Check base_url and this machine's DNS.", code="dns"
        ) from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def probe(base_url: str, seconds: float) -> ProbeResult:
    """Send one request without a token, and look at the certificate and the time of whatever answers.

    Raises ThirdPartyGenericError where the way there is blocked, ThirdPartyConfigError for an unusable environment.
    """
    with _open(base_url, seconds) as http:
        sent, before = clock.now(), time.monotonic()
        with http.open("GET", _PATH) as response:
            middle = sent + (time.monotonic() - before) / 2
            return ProbeResult(_certificate(response.extensions), _ahead(response.headers, middle))


def _open(base_url: str, seconds: float) -> HttpClient:
    timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
    return HttpClient(
        base_url,
        {"Accept": "application/json"},
        service="The Events API",
        setting="base_url",
        timeout=timeout,
        deadline=seconds,
    )


def _certificate(extensions: Mapping[str, Any]) -> Certificate | None:
    connection = extensions["network_stream"].get_extra_info("ssl_object")
    if connection is None:
        return None
    shown = connection.getpeercert()
    names = {key: value for part in shown.get("issuer", ()) for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or "an authority without a name"
    return Certificate(issuer, ssl.cert_time_to_seconds(shown["notAfter"]), connection.version() or "TLS")


def _ahead(headers: Mapping[str, str], received: float) -> float | None:
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
        server_time = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        return server_time + _HALF_SECOND + float(headers.get("age", 0)) - received
    except (ValueError, TypeError, OverflowError):
        return None
