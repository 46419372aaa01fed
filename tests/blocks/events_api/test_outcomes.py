from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_clock import START_NS, MovingClock

from blocks import clock
from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)
from blocks.events_api import outcomes
from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOlsiZXZlbnRzIl19.c2lnbmF0dXJl"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """Far from Greenwich, for a date without a zone is one of Greenwich all the same."""
    monkeypatch.setattr(clock, "clock", MovingClock())
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX-9")
        time.tzset()
        yield START_NS / 1e9
    time.tzset()


# The status, before any body is read


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 520, 599])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError, match=str(status)) as raised:
        outcomes.refuse_passing_faults(status, httpx.Headers())
    assert type(raised.value) is ThirdPartyGenericError
    assert raised.value.code == str(status)
    assert raised.value.retry_after is None
    assert raised.value.hint


@pytest.mark.parametrize("status", [429, 503])
def test_the_servers_wish_to_wait_is_kept(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        outcomes.refuse_passing_faults(status, httpx.Headers({"Retry-After": "17"}))
    assert raised.value.retry_after == 17.0


def test_too_many_requests_are_told_from_a_server_in_trouble() -> None:
    with pytest.raises(ThirdPartyGenericError, match=r"too many requests.*other programs that use the same account"):
        outcomes.refuse_passing_faults(429, httpx.Headers())
    with pytest.raises(ThirdPartyGenericError, match="status page"):
        outcomes.refuse_passing_faults(500, httpx.Headers())


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    with pytest.raises(ThirdPartyGenericError, match=r"not followed, so the token went nowhere.*base_url") as raised:
        outcomes.refuse_passing_faults(status, httpx.Headers({"Location": "https://evil.example/"}))
    assert raised.value.code == str(status)
    assert "evil" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 405, 418])
def test_anything_else_is_looked_at_with_its_body(status: int) -> None:
    outcomes.refuse_passing_faults(status, httpx.Headers())


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("2", 2.0),
        (" 90 ", 90.0),
        ("007", 7.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("9" * 5000, 3600.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("1, 2", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("²", None),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
        ("Wed, 04 Mar 99999 05:06:07 GMT", None),
        (f"Wed, 04 Mar {'9' * 20} 05:06:07 GMT", None),
        (f"Wed, 04 Mar 2026 05:06:07 +{'9' * 20}", None),
    ],
)
def test_seconds_to_wait_and_nonsense(value: str, seconds: float | None) -> None:
    assert outcomes.retry_after({"retry-after": value}) == seconds


def test_no_header_no_wish() -> None:
    assert outcomes.retry_after(httpx.Headers()) is None


@pytest.mark.parametrize("ahead", [-90_000, -1, 0, 1, 90, 3600, 7200])
@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_a_date_to_wait_for(now: float, ahead: int, zone: str) -> None:
    date = format_datetime(datetime.fromtimestamp(now + ahead, UTC), usegmt=True).replace("GMT", zone)
    assert outcomes.retry_after({"retry-after": date}) == min(max(ahead, 0.0), 3600.0)


@pytest.mark.parametrize("date", ["Tue, 22 Sep 2026 04:27:10 +1000", "Tuesday, 22-Sep-26 04:27:10 GMT"])
def test_dates_in_the_older_forms(now: float, date: str) -> None:
    assert outcomes.retry_after({"retry-after": date}) is not None


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("0123456789 ,:+-GMTWedMar", max_size=40))
def test_any_header_is_a_wait_within_an_hour_or_none(value: str) -> None:
    wait = outcomes.retry_after({"retry-after": value})
    assert wait is None or 0.0 <= wait <= outcomes.RETRY_AFTER_MAX


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
    found = outcomes.told(content, TOKEN)
    assert found.startswith(words)
    assert bool(found) is bool(words)
    assert found.isprintable()


@pytest.mark.parametrize("content", [b"x" * 10_000, b'{"message":"' + b"x" * 10_000 + b'"}', b" x" * 10_000])
def test_a_long_error_body_is_cut(content: bytes) -> None:
    assert len(outcomes.told(content, TOKEN)) <= 2 + outcomes.TEXT_MAX


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
    found = outcomes.told(form.format(token, token).encode(), token)
    assert not any(token[at : at + 6] in found for at in range(len(token) - 5))


@pytest.mark.parametrize("cut", [16, 24, 40])
def test_a_token_in_escapes_or_cut_short_is_taken_out(cut: int) -> None:
    for content in (f'{{"message":"{ESCAPED}"}}', f"token {TOKEN[:cut]}… is unknown"):
        assert "eyJ" not in outcomes.told(content.encode(), TOKEN)


@pytest.mark.parametrize("encode", [base64.b64encode, bytes.hex, lambda raw: raw[-24:], lambda raw: raw[9:33]])
def test_a_part_of_a_token_in_any_encoding_is_taken_out(encode: Callable[[bytes], bytes | str]) -> None:
    token = "".join(f"{number:x}+/=" for number in range(40, 60))
    part = encode(token.encode())
    text = part if isinstance(part, str) else part.decode()
    for content in (f"no ({text}), sorry", json.dumps({"message": f"no ({text}), sorry"})):
        assert outcomes.told(content.encode(), token) == ": no (***), sorry"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_error_body_is_a_short_line(content: bytes) -> None:
    found = outcomes.told(content, TOKEN)
    assert found == "" or (found.startswith(": ") and found.isprintable())


# Refused requests


PAGES = [
    (400, True, CursorRejectedError, "stored cursor of audit (400: said). It is dropped once"),
    (400, False, ThirdPartyConfigError, "Check collect_from and api_version"),
    (401, True, UnconfirmedError, "asked whether the token is still good"),
    (403, False, UnconfirmedError, "asked whether the token is still good"),
    (404, False, UnconfirmedError, "asked whether the token is still good"),
    (204, False, ThirdPartyGenericError, "which is not documented"),
    (405, True, ThirdPartyGenericError, "which is not documented"),
    (418, False, ThirdPartyGenericError, "which is not documented"),
]


@pytest.mark.parametrize(("status", "with_cursor", "kind", "text"), PAGES)
def test_a_refused_page(status: int, with_cursor: bool, kind: type[SourceError], text: str) -> None:
    error = outcomes.of_page(status, ": said", Api.AUDIT, with_cursor=with_cursor)
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
    error = outcomes.of_introspection(status, ": said")
    assert type(error) is kind
    assert error.code == str(status)
    assert text in str(error)
    assert ": said" in str(error)


def test_a_missing_scope_names_what_there_is_and_what_to_do() -> None:
    error = outcomes.of_missing_scope(Api.AUDIT, frozenset({"signinattempts", "itemusages"}))
    assert str(error) == (
        "The token has no scope for audit: it lacks auditevents, it has itemusages, signinattempts. Make a token with "
        "auditevents in 1Password (a token's scopes cannot be changed), or take audit out of supported_apis."
    )
    assert error.code == "scope"
    assert "it has none" in str(outcomes.of_missing_scope(Api.AUDIT, frozenset()))


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "\ta", "a\0", "é", "a\x7f", "\u200b", "a\ud800"])
def test_a_token_that_no_header_holds(token: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="Copy it again") as raised:
        outcomes.require_sendable(token)
    assert raised.value.code == "token"
    assert not token.strip() or token not in str(raised.value).split()


@pytest.mark.parametrize("token", [TOKEN, "acsac25$", "a"])
def test_a_token_that_a_header_holds(token: str) -> None:
    assert outcomes.require_sendable(token) == token


# No answer


def arisen(kind: type[httpx.HTTPError], cause: BaseException | None) -> httpx.HTTPError:
    """As httpx hands it out: from httpcore's error, which is from the system's."""
    error = kind("what httpx says")
    error.__cause__ = RuntimeError("httpcore")
    error.__cause__.__context__ = cause
    return error


UNVERIFIED = ssl.SSLCertVerificationError("bad")
UNVERIFIED.verify_message = "certificate has expired"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (arisen(httpx.ConnectError, socket.gaierror(-2, "?")), "dns", "name H could not be resolved. Check base_url"),
        (arisen(httpx.ConnectError, UNVERIFIED), "tls", "refused: certificate has expired. Nothing was sent."),
        (arisen(httpx.ConnectError, ssl.SSLError("no")), "tls", "No TLS connection to H"),
        (arisen(httpx.ReadError, ssl.SSLError("no")), "tls", "No TLS connection to H"),
        (arisen(httpx.ConnectError, ConnectionRefusedError()), "connect", "H refused the connection"),
        (arisen(httpx.ConnectError, OSError(101, "unreachable")), "connect", "H could not be reached"),
        (arisen(httpx.ConnectTimeout, TimeoutError()), "connect-timeout", "did not accept a connection in time"),
        (arisen(httpx.ReadTimeout, TimeoutError()), "timeout", "did not answer in time"),
        (arisen(httpx.WriteTimeout, TimeoutError()), "timeout", "did not answer in time"),
        (arisen(httpx.PoolTimeout, None), "timeout", "did not answer in time"),
        (arisen(httpx.ProxyError, None), "proxy", "HTTPS_PROXY"),
        (arisen(httpx.DecodingError, None), "invalid-body", "cannot be unpacked"),
        (arisen(httpx.ReadError, ConnectionResetError()), "reset", "broke off in the middle"),
        (arisen(httpx.RemoteProtocolError, None), "reset", "broke off in the middle"),
    ],
)
def test_no_answer_is_told_apart(error: httpx.HTTPError, code: str, text: str) -> None:
    found = outcomes.of_transport(error, "H")
    assert type(found) is ThirdPartyGenericError
    assert (found.code, text in str(found)) == (code, True), str(found)
    assert found.hint
    assert "httpx says" not in str(found)


def test_the_rest() -> None:
    assert str(outcomes.too_slow(0.25)).startswith("The answer took longer than 0.25 seconds.")
    assert str(outcomes.too_large(64 * 2**20)).startswith("The Events API answered with more than 67,108,864 bytes")
    assert "SSL_CERT_FILE" in str(outcomes.of_environment())
