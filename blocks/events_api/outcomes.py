"""Every HTTP outcome of the Events API that is not an answer, mapped to one error: what happened, what to do."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx
import msgspec

from blocks import clock
from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from blocks.events_api.models import Api

TOO_MANY_REQUESTS = 429
PASSING = frozenset({408, 425, TOO_MANY_REQUESTS})
REFUSED = frozenset({401, 403, 404})
BAD_REQUEST = 400
TEXT_MAX = 200
RETRY_AFTER_MAX = 3600.0  # the longer of the API's two rate windows
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*")  # whole or cut short
_LONG = re.compile(r"[^\s\"'<>(),;]{24,}")  # no word of a sentence, but perhaps a part of a token, in any encoding

REFUSED_HINT = (
    "Check that the token is whole and not revoked or expired, that base_url is the server of the account's region "
    "(1password.com, ent.1password.com, 1password.ca or 1password.eu), or make a new token under "
    "Integrations > Events Reporting and store it."
)


def refuse_passing_faults(status: int, headers: Mapping[str, str]) -> None:
    """Raise ThirdPartyGenericError for what passes by itself (408, 425, 429, 5xx) and for redirects.

    It looks at the status alone, before any body is read.
    """
    if status in PASSING or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _passing(status, retry_after(headers))
    if httpx.codes.MULTIPLE_CHOICES <= status < httpx.codes.BAD_REQUEST:
        raise ThirdPartyGenericError(
            f"The Events API answered {status}, a redirect. It was not followed, so the token went nowhere else.",
            hint="Check base_url, and whether a proxy or a login page answers in 1Password's place.",
            code=str(status),
        )


def of_page(status: int, said: str, api: Api, *, with_cursor: bool) -> SourceError:
    """The error behind a refused request for a page; `said` is what `told` makes of the body."""
    if status == BAD_REQUEST and with_cursor:
        return CursorRejectedError(
            f"The Events API refused the stored cursor of {api} (400{said}).",
            hint="It is dropped once, and events are read again from 48 hours before the last known good point.",
            code="400",
        )
    if status == BAD_REQUEST:
        return ThirdPartyConfigError(
            f"The Events API refused the first request for {api} (400{said}).",
            hint="Check collect_from and api_version of the source.",
            code="400",
        )
    if status in REFUSED:
        return UnconfirmedError(
            f"The Events API answered {status}{said} for {api}.",
            hint="It is asked whether the token is still good; if it is, the request is made again.",
            code=str(status),
        )
    return _unexpected(status, said)


def of_introspection(status: int, said: str) -> SourceError:
    """The error behind a refused introspection; `said` is what `told` makes of the body."""
    if status == httpx.codes.NOT_FOUND:
        return TokenError(
            f"There is no Events API at this address: it answered 404{said} to the introspection of v2 and of v1.",
            hint="Check base_url; a token that was cut short when it was pasted looks like this too.",
            code="404",
        )
    if status in REFUSED:
        return TokenError(f"The Events API refuses the token ({status}{said}).", hint=REFUSED_HINT, code=str(status))
    return _unexpected(status, said)


def of_missing_scope(api: Api, scopes: frozenset[str]) -> ThirdPartyConfigError:
    """The token is good, but not for this API."""
    has = ", ".join(sorted(scopes)) or "none"
    return ThirdPartyConfigError(
        f"The token has no scope for {api}: it lacks {api.path}, it has {has}.",
        hint=f"Make a token with {api.path} in 1Password (a token's scopes cannot be changed), "
        f"or take {api} out of supported_apis.",
        code="scope",
    )


def require_sendable(token: str) -> str:
    """The token. Raises ThirdPartyConfigError where it could not stand in a header: a copy that went wrong."""
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    raise ThirdPartyConfigError(
        "The token is empty, or holds characters that no token has.",
        hint="Copy it again, whole and alone, and store it.",
        code="token",
    )


def of_environment() -> ThirdPartyConfigError:
    """What the environment says of certificates and proxies cannot be used."""
    return ThirdPartyConfigError(
        "The certificates or the proxy that the environment names cannot be used.",
        hint="Check SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.",
        code="environment",
    )


def of_transport(error: httpx.HTTPError, host: str) -> ThirdPartyGenericError:
    """The error behind a request that got no answer: name, connection, TLS and time-out are told apart."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return _unreachable("dns", f"The name {host} could not be resolved.", "Check base_url and this machine's DNS.")
    if verification := next((c for c in causes if isinstance(c, ssl.SSLCertVerificationError)), None):
        return _unreachable(
            "tls",
            f"The certificate of {host} was refused: {verification.verify_message}. Nothing was sent.",
            "Check base_url and the clock; where a proxy inspects TLS, set SSL_CERT_FILE to its certificate.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _unreachable("tls", f"No TLS connection to {host} could be made.", "Check what stands between.")
    if isinstance(error, httpx.ConnectTimeout):
        return _unreachable("connect-timeout", f"{host} did not accept a connection in time.", "Check the firewall.")
    if isinstance(error, httpx.TimeoutException):
        return _unreachable("timeout", f"{host} did not answer in time.", "The request is made again.")
    if isinstance(error, httpx.ProxyError):
        return _unreachable("proxy", f"The proxy did not pass the request on to {host}.", "Check HTTPS_PROXY.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _unreachable("connect", f"{host} refused the connection.", "Check base_url and the firewall.")
    if isinstance(error, httpx.ConnectError):
        return _unreachable("connect", f"{host} could not be reached.", "Check the network and the firewall.")
    if isinstance(error, httpx.DecodingError):
        return _unreachable("invalid-body", f"{host} sent a body that cannot be unpacked.", "It is asked again.")
    return _unreachable("reset", f"The connection to {host} broke off in the middle.", "The request is made again.")


def too_slow(seconds: float) -> ThirdPartyGenericError:
    return _unreachable("timeout", f"The answer took longer than {seconds:g} seconds.", "The request is made again.")


def too_large(most: int) -> ThirdPartyGenericError:
    return _unreachable(
        "too-large",
        f"The Events API answered with more than {most:,} bytes; the rest was not read.",
        "The request is made again. If it goes on, look for a proxy between here and 1Password.",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, from either form of Retry-After; an hour at most."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_MAX)
    try:
        date = parsedate_to_datetime(value)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - clock.now()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX)


def told(content: bytes, token: str) -> str:
    """What an error body says, in a few words behind a colon: one of the two JSON forms, or its text.

    A server may repeat the token, in JSON's escapes, encoded or in part: it is taken out, and so is any long word.
    """
    text = _message(content) or _text(content.replace(token.encode(), b"***"))
    text = _LONG.sub("***", _TOKEN.sub("***", text.replace(token, "***")))
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f": {words[:TEXT_MAX]}" if words else ""


def _message(content: bytes) -> str:
    try:
        value = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    error = value.get("Error")
    found = error.get("Message") if isinstance(error, dict) else value.get("message")
    return found if isinstance(found, str) else ""


def _text(content: bytes) -> str:
    text = content[: TEXT_MAX * 4].decode(errors="replace").strip()
    if text.startswith(("{", "[")):
        return ""
    return "a page of HTML" if text.startswith("<") else text


def _passing(status: int, wait: float | None) -> ThirdPartyGenericError:
    if status == TOO_MANY_REQUESTS:
        message = "The Events API answered 429: too many requests in this minute or hour."
        hint = "Reading goes on by itself. If it happens often, look for other programs that use the same account."
    else:
        message = f"The Events API answered {status}."
        hint = "The request is made again. If it goes on, look at 1Password's status page."
    return ThirdPartyGenericError(message, hint=hint, code=str(status), retry_after=wait)


def _unexpected(status: int, said: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The Events API answered {status}{said}, which is not documented.",
        hint="The request is made again. Check what stands between here and 1Password.",
        code=str(status),
    )


def _unreachable(code: str, message: str, hint: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(message, hint=hint, code=code)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
