"""The words for what goes wrong between here and a server."""

from __future__ import annotations

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
from support.moving_clock import START_NS, MovingClock

from blocks import clock
from blocks.errors import ThirdPartyGenericError
from blocks.http import transport_errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """Far from Greenwich, for a date without a zone is one of Greenwich all the same."""
    monkeypatch.setattr(clock, "clock", MovingClock())
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX-9")
        time.tzset()
        yield START_NS / 1e9
    time.tzset()


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
    assert transport_errors.retry_after({"retry-after": value}) == seconds


def test_no_header_no_wish() -> None:
    assert transport_errors.retry_after(httpx.Headers()) is None


@pytest.mark.parametrize("ahead", [-90_000, -1, 0, 1, 90, 3600, 7200])
@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_a_date_to_wait_for(now: float, ahead: int, zone: str) -> None:
    date = format_datetime(datetime.fromtimestamp(now + ahead, UTC), usegmt=True).replace("GMT", zone)
    assert transport_errors.retry_after({"retry-after": date}) == min(max(ahead, 0.0), 3600.0)


@pytest.mark.parametrize("date", ["Tue, 22 Sep 2026 04:27:10 +1000", "Tuesday, 22-Sep-26 04:27:10 GMT"])
def test_dates_in_the_older_forms(now: float, date: str) -> None:
    assert transport_errors.retry_after({"retry-after": date}) is not None


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("0123456789 ,:+-GMTWedMar", max_size=40))
def test_any_header_is_a_wait_within_an_hour_or_none(value: str) -> None:
    wait = transport_errors.retry_after({"retry-after": value})
    assert wait is None or 0.0 <= wait <= transport_errors.RETRY_AFTER_MAX


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
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), "reset", "broke off"),
        (httpx.RemoteProtocolError("peer closed connection without sending complete"), "reset", "broke off"),
        (arisen(httpx.RemoteProtocolError, None), "invalid-answer", "is not HTTP. Check base_url"),
        (arisen(httpx.ConnectError, UnicodeError("label too long")), "dns", "name H could not be resolved"),
    ],
)
def test_each_way_to_get_no_answer_has_its_own_code_and_message(error: httpx.HTTPError, code: str, text: str) -> None:
    found = transport_errors.transport_error(error, "H")
    assert type(found) is ThirdPartyGenericError
    assert (found.code, text in str(found)) == (code, True), str(found)
    assert found.hint
    assert "httpx says" not in str(found)


def test_a_siem_has_no_base_url() -> None:
    error = arisen(httpx.ConnectError, ConnectionRefusedError())
    assert transport_errors.transport_error(error, "H", "its address").hint == "Check its address and the firewall."


def test_the_rest() -> None:
    assert str(transport_errors.too_slow(0.25)).startswith("The answer took longer than 0.25 seconds.")
    assert str(transport_errors.too_large("Splunk", 2**20)).startswith("Splunk answered with more than 1,048,576 bytes")
    assert "SSL_CERT_FILE" in str(transport_errors.environment_error())
