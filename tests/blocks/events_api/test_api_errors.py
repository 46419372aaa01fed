from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)
from blocks.events_api import api_errors
from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOlsiZXZlbnRzIl19.c2lnbmF0dXJl"


# The status, before any body is read


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 520, 599])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError, match=str(status)) as raised:
        api_errors.raise_for_transient(status, httpx.Headers())
    assert type(raised.value) is ThirdPartyGenericError
    assert raised.value.code == str(status)
    assert raised.value.retry_after is None
    assert raised.value.hint


@pytest.mark.parametrize("status", [429, 503])
def test_the_servers_wish_to_wait_is_kept(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        api_errors.raise_for_transient(status, httpx.Headers({"Retry-After": "17"}))
    assert raised.value.retry_after == 17.0


def test_too_many_requests_and_a_server_error_have_different_messages() -> None:
    with pytest.raises(ThirdPartyGenericError, match=r"too many requests.*other programs that use the same account"):
        api_errors.raise_for_transient(429, httpx.Headers())
    with pytest.raises(ThirdPartyGenericError, match="status page"):
        api_errors.raise_for_transient(500, httpx.Headers())


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError, match=r"not followed, so the token went nowhere.*base_url") as raised:
        api_errors.raise_for_transient(status, httpx.Headers({"Location": "https://evil.example/"}))
    assert raised.value.code == str(status)
    assert "evil" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 405, 418])
def test_anything_else_is_looked_at_with_its_body(status: int) -> None:
    api_errors.raise_for_transient(status, httpx.Headers())


# What an error body says


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ""),
        (b" \n", ""),
        (b'{"Error":{"Message":"Unauthorized"}}', ": Unauthorized"),
        (b'{"status":400,"message":"limit is too large"}', ": limit is too large"),
        (b'{"Error":{"Message":"one"},"message":"two"}', ": one"),
        (b"404 page not found\n", ": 404 page not found"),
        (b"upstream connect error\r\n\treset\x00 reason: \x1b[31moverflow", ": upstream connect error reset reason"),
        (b"<!doctype html><title>502</title>", ": a page of HTML"),
        (b"\xef\xbb\xbf\xff\xfe bytes", ": "),
        (b"{}", ""),
        (b"[]", ""),
        (b'{"Error":null}', ""),
        (b'{"Error":{"Message":5}}', ""),
        (b'{"Error":"no","message":"yes"}', ": yes"),
        (b'{"message":{"a":1}}', ""),
        (b'{"broken', ""),
        (b"null", ": null"),
        (b"[" * 100_000, ""),
        (b'{"a":' * 100_000, ""),
        (b'{"message":"\xff"}', ""),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_an_error_body_in_a_few_words(content: bytes, words: str) -> None:
    found = api_errors.error_text(content, TOKEN)
    assert found.startswith(words)
    assert bool(found) is bool(words)
    assert found.isprintable()


@pytest.mark.parametrize("content", [b"x" * 10_000, b'{"message":"' + b"x" * 10_000 + b'"}', b" x" * 10_000])
def test_a_long_error_body_is_cut(content: bytes) -> None:
    assert len(api_errors.error_text(content, TOKEN)) <= 2 + api_errors.TEXT_MAX


ESCAPED = "".join(f"\\u{ord(c):04x}" for c in TOKEN)


@pytest.mark.parametrize("token", [TOKEN, "abcdef0123456789"])
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "Bearer {}",
        "{}{}",
        '{{"message":"bad token {}"}}',
        '{{"Error":{{"Message":"{} is unknown"}}}}',
        " " * 790 + "{}",
        "x" * 180 + "{}",
        '{{"message":"' + "x" * 195 + '{}"}}',
    ],
    ids=lambda form: repr(form[:20]),
)
def test_a_token_that_the_server_repeats_is_taken_out(form: str, token: str) -> None:
    found = api_errors.error_text(form.format(token, token).encode(), token)
    assert not any(token[at : at + 6] in found for at in range(len(token) - 5))


@pytest.mark.parametrize("cut", [16, 24, 40])
def test_a_token_in_escapes_or_cut_short_is_taken_out(cut: int) -> None:
    for content in (f'{{"message":"{ESCAPED}"}}', f"token {TOKEN[:cut]}… is unknown"):
        assert "eyJ" not in api_errors.error_text(content.encode(), TOKEN)


@pytest.mark.parametrize("encode", [base64.b64encode, bytes.hex, lambda raw: raw[-24:], lambda raw: raw[9:33]])
def test_a_part_of_a_token_in_any_encoding_is_taken_out(encode: Callable[[bytes], bytes | str]) -> None:
    token = "".join(f"{number:x}+/=" for number in range(40, 60))
    part = encode(token.encode())
    text = part if isinstance(part, str) else part.decode()
    for content in (f"no ({text}), sorry", json.dumps({"message": f"no ({text}), sorry"})):
        assert api_errors.error_text(content.encode(), token) == ": no (***), sorry"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_error_body_is_a_short_line(content: bytes) -> None:
    found = api_errors.error_text(content, TOKEN)
    assert found == "" or (found.startswith(": ") and found.isprintable())


# Refused requests


PAGES = [
    (400, True, CursorRejectedError, "stored cursor of audit (400: said). It is dropped once"),
    (400, False, ThirdPartyConfigError, "Check collect_from and api_version"),
    (401, True, UnconfirmedError, "checks the token by introspection"),
    (403, False, UnconfirmedError, "checks the token by introspection"),
    (404, False, UnconfirmedError, "checks the token by introspection"),
    (204, False, ThirdPartyGenericError, "which is not documented"),
    (405, True, ThirdPartyGenericError, "which is not documented"),
    (418, False, ThirdPartyGenericError, "which is not documented"),
]


@pytest.mark.parametrize(("status", "with_cursor", "kind", "text"), PAGES)
def test_a_refused_page(status: int, with_cursor: bool, kind: type[SourceError], text: str) -> None:
    error = api_errors.page_error(status, ": said", Api.AUDIT, with_cursor=with_cursor)
    assert type(error) is kind
    assert error.code == str(status)
    assert error.hint
    assert text in str(error)
    assert f"{status}: said" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (400, ThirdPartyGenericError, "which is not documented"),
        (401, TokenError, "not revoked or expired, that base_url is the server of the account's region"),
        (403, TokenError, "Integrations > Events Reporting"),
        (404, TokenError, "a token that was cut short"),
        (405, ThirdPartyGenericError, "which is not documented"),
    ],
)
def test_a_refused_introspection(status: int, kind: type[SourceError], text: str) -> None:
    error = api_errors.introspection_error(status, ": said")
    assert type(error) is kind
    assert error.code == str(status)
    assert text in str(error)
    assert ": said" in str(error)


def test_a_missing_scope_names_what_there_is_and_what_to_do() -> None:
    error = api_errors.missing_scope_error(Api.AUDIT, frozenset({"signinattempts", "itemusages"}))
    assert str(error) == (
        "The token has no scope for audit: it lacks auditevents, it has itemusages, signinattempts. Make a token with "
        "auditevents in 1Password (a token's scopes cannot be changed) and store it with `onepassword-source token "
        "NAME`; or take audit out of supported_apis, and `onepassword-source apply FILE`."
    )
    assert error.code == "scope"
    assert "it has none" in str(api_errors.missing_scope_error(Api.AUDIT, frozenset()))


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "\ta", "a\0", "é", "a\x7f", "\u200b", "a\ud800"])
def test_a_token_that_no_header_holds(token: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="Copy it again") as raised:
        api_errors.require_sendable(token)
    assert raised.value.code == "token"
    assert not token.strip() or token not in str(raised.value).split()


@pytest.mark.parametrize("token", [TOKEN, "acsac25$", "a"])
def test_a_token_that_a_header_holds(token: str) -> None:
    assert api_errors.require_sendable(token) == token
