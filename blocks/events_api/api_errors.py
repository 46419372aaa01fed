"""Every HTTP outcome of the Events API that is not an answer, mapped to one error: what happened, what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import msgspec

from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)
from blocks.http.transport_errors import TOO_MANY_REQUESTS, is_transient, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.events_api.models import Api

REJECTED = frozenset({401, 403, 404})
BAD_REQUEST = 400
TEXT_MAX = 200
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*")  # whole or cut short
_LONG = re.compile(r"[^\s\"'<>(),;]{24,}")  # no word of a sentence, but perhaps a part of a token, in any encoding

REJECTED_HINT = (
    "Check that the token is whole and not revoked or expired, that base_url is the server of the account's region "
    "(1password.com, ent.1password.com, 1password.ca or 1password.eu), or make a new token under "
    "Integrations > Events Reporting and store it with `onepassword-source token NAME`."
)


def raise_for_transient(status: int, headers: Mapping[str, str]) -> None:
    """Raise ThirdPartyGenericError for what passes by itself (408, 425, 429, 5xx) and for redirects.

    It looks at the status alone, before any body is read.
    """
    if is_transient(status):
        raise _passing(status, retry_after(headers))
    if httpx.codes.MULTIPLE_CHOICES <= status < httpx.codes.BAD_REQUEST:
        raise ThirdPartyGenericError(
            f"The Events API answered {status}, a redirect. It was not followed, so the token went nowhere else.",
            hint="Check base_url, and whether a proxy or a login page answers in 1Password's place.",
            code=str(status),
        )


def page_error(status: int, text: str, api: Api, *, with_cursor: bool) -> SourceError:
    """The error behind a rejected request for a page; `text` is what `error_text` returns for the body."""
    if status == BAD_REQUEST and with_cursor:
        return CursorRejectedError(
            f"The Events API rejected the stored cursor of {api} (400{text}).",
            hint="It is dropped once, and events are read again from 48 hours before the last known good point.",
            code="400",
        )
    if status == BAD_REQUEST:
        return ThirdPartyConfigError(
            f"The Events API refused the first request for {api} (400{text}).",
            hint="Check collect_from and api_version in the source's file, and `onepassword-source apply FILE`.",
            code="400",
        )
    if status in REJECTED:
        return UnconfirmedError(
            f"The Events API answered {status}{text} for {api}.",
            hint="The source checks the token by introspection. If it is valid, the request is retried.",
            code=str(status),
        )
    return _unexpected(status, text)


def introspection_error(status: int, text: str) -> SourceError:
    """The error behind a rejected introspection; `text` is what `error_text` returns for the body."""
    if status == httpx.codes.NOT_FOUND:
        return TokenError(
            f"There is no Events API at this address: it answered 404{text} to the introspection of v2 and of v1.",
            hint="Check base_url; a token that was cut short when it was pasted looks like this too. "
            "`onepassword-source check NAME` looks at both.",
            code="404",
        )
    if status in REJECTED:
        return TokenError(f"The Events API refuses the token ({status}{text}).", hint=REJECTED_HINT, code=str(status))
    return _unexpected(status, text)


def missing_scope_error(api: Api, scopes: frozenset[str]) -> ThirdPartyConfigError:
    """The token is valid, but not for this API."""
    has = ", ".join(sorted(scopes)) or "none"
    return ThirdPartyConfigError(
        f"The token has no scope for {api}: it lacks {api.path}, it has {has}.",
        hint=f"Make a token with {api.path} in 1Password (a token's scopes cannot be changed) and store it with "
        f"`onepassword-source token NAME`; or take {api} out of supported_apis, and `onepassword-source apply FILE`.",
        code="scope",
    )


def require_sendable(token: str) -> str:
    """The token. Raises ThirdPartyConfigError if it cannot be sent in a header, as after a bad copy."""
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    raise ThirdPartyConfigError(
        "The token is empty, or holds characters that no token has.",
        hint="Copy it again, whole and alone, and store it: a source's with `onepassword-source token NAME`, a SIEM's "
        "with `onepassword-source apply FILE`.",
        code="token",
    )


def error_text(content: bytes, token: str) -> str:
    """The message in an error body, shortened, after a colon: from one of the two JSON forms, or the plain text.

    A server may repeat the token, escaped, encoded or in part. It is removed, and so is every long word.
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
    error, of_siem = value.get("Error"), value.get("error")
    deeper = [error.get("Message")] if isinstance(error, dict) else []
    if isinstance(of_siem, dict):
        deeper += [of_siem.get("message"), of_siem.get("reason")]
    found = (*deeper, value.get("message"), of_siem, *(value.get(name) for name in ("text", "detail", "title")))
    return next((text for text in found if isinstance(text, str) and text), "")


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
        hint = "The request is retried. If it goes on, look at 1Password's status page."
    return ThirdPartyGenericError(message, hint=hint, code=str(status), retry_after=wait)


def _unexpected(status: int, text: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The Events API answered {status}{text}, which is not documented.",
        hint="The request is retried. Check what stands between here and 1Password.",
        code=str(status),
    )
