"""The HTTP client against servers that answer with any bytes: addresses, bounds, slots, and its one error."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.raw_server import always, answered, dripping, listening, then_closed

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.http import client as client_module
from blocks.http.client import BODY_MAX, COOKIES_MAX, ERROR_BODY_MAX, HttpClient, HttpResponse, user_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.raw_server import Server

    from blocks.http.deadline import ExchangeLimits

KEY = {"Authorization": "Bearer hidden"}


def opened(server: Server, path: str = "/base", **options: Any) -> HttpClient:
    return HttpClient(f"{server.url}{path}", KEY, **{"service": "The collector", **options})


def error_of(client: HttpClient, path: str = "x") -> SourceError:
    with pytest.raises(ThirdPartyGenericError) as raised:
        client.request("GET", path)
    return raised.value


# What is sent


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", b"GET /base/ HTTP/1.1"),
        ("events", b"GET /base/events HTTP/1.1"),
        ("/events?a=1", b"GET /events?a=1 HTTP/1.1"),
        ("events?next=http://other/", b"GET /base/events?next=http://other/ HTTP/1.1"),
    ],
)
def test_a_path_is_joined_to_the_base_url(path: str, line: bytes) -> None:
    with listening(always(answered(b"yes"))) as server, opened(server) as client:
        assert client.request("GET", path).content == b"yes"
    assert server.requests[0].split(b"\r\n")[0] == line


def test_a_path_may_be_a_whole_url() -> None:
    with listening(always(answered(b"first"))) as server, listening(always(answered(b"second"))) as other:
        with opened(server) as client:
            assert client.request("GET", f"{other.url}/upload").content == b"second"
        assert other.requests[0].startswith(b"GET /upload HTTP/1.1\r\n")
        assert server.connections == 0


def test_a_request_has_its_content_and_the_headers_of_both() -> None:
    with listening(always(answered(b""))) as server, opened(server) as client:
        client.request("PUT", "x", b"events", {"Content-Type": "text/plain"})
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"events"
    assert head.startswith(b"PUT ")
    for line in (
        "Authorization: Bearer hidden",
        "Content-Type: text/plain",
        "Accept-Encoding: gzip",
        f"User-Agent: onepassword-source/{version('onepassword-source')}",
    ):
        assert line.encode() in head.split(b"\r\n")
    assert user_agent() == f"onepassword-source/{version('onepassword-source')}"


# What is read


@pytest.mark.parametrize(
    ("status", "is_success", "is_redirect"),
    [(b"200 OK", True, False), (b"307 Temporary Redirect", False, True), (b"404 Not Found", False, False)],
)
def test_an_answer_has_its_status_its_headers_and_its_body(status: bytes, is_success: bool, is_redirect: bool) -> None:
    answer = always(answered(b"words", status, X_Own="1", Location="http://["))
    with listening(answer) as server, opened(server) as client:
        response = client.request("GET", "x")
    assert (response.status_code, response.content) == (int(status[:3]), b"words")
    assert (response.headers["x-own"], "location" in response.headers) == ("1", False)
    assert (response.is_success, response.is_redirect) == (is_success, is_redirect)


def test_a_body_may_be_as_large_as_the_bound_and_no_larger() -> None:
    with listening(always(answered(b"x" * 100))) as server:
        with opened(server, body_max=100) as client:
            assert len(client.request("GET", "x").content) == 100
        with opened(server, body_max=99) as client:
            error = error_of(client)
    assert error.code == "too-large"
    assert str(error) == (
        "The collector answered with more than 99 bytes; the rest was not read. The request is retried. If it goes on, "
        "look for a proxy that stands between."
    )


def test_more_bytes_than_the_whole_exchange_may_have_are_too_large() -> None:
    """Here they are answers before the answer, which have no body."""
    answer = dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, pause=0)
    with listening(answer) as server, opened(server, body_max=7) as client:
        error = error_of(client)
    assert (error.code, "more than 7 bytes" in str(error)) == ("too-large", True)


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (b"503 Unavailable", ERROR_BODY_MAX),
        (b"429 Too Many", ERROR_BODY_MAX),
        (b"302 Found", ERROR_BODY_MAX),
        (b"400 Bad Request", 20_000),
        (b"200 OK", 20_000),
    ],
)
def test_only_the_beginning_is_read_beside_a_status_that_is_clear_by_itself(status: bytes, kept: int) -> None:
    with listening(always(answered(b"x" * 20_000, status))) as server, opened(server) as client:
        assert len(client.request("GET", "x").content) == kept


@pytest.mark.parametrize("status", [b"503 Unavailable", b"302 Found"])
def test_the_bound_of_a_client_is_that_of_the_beginning_too(status: bytes) -> None:
    with listening(always(answered(b"x" * 600, status))) as server, opened(server, body_max=500) as client:
        assert len(client.request("GET", "x").content) == 500


def test_the_words_beside_a_clear_status_are_waited_for_only_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ERROR_BODY_SECONDS", 0.1)
    head = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 100000\r\n\r\nBusy."
    with listening(dripping(head, b" ")) as server, opened(server) as client:
        response = client.request("GET", "x")
    assert (response.status_code, response.content[:5]) == (503, b"Busy.")


# Its errors


def test_an_exchange_that_takes_too_long_says_so() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with listening(dripping(head, b" ")) as server, opened(server, deadline=0.15) as client:
        error = error_of(client)
    assert (error.code, str(error)) == (
        "timeout",
        "The answer took longer than 0.15 seconds. The request is retried.",
    )


def test_a_wait_that_takes_too_long_names_the_host() -> None:
    with (
        listening(dripping(b"", b"", pause=0.02)) as server,
        opened(server, timeout=httpx.Timeout(0.05), setting="url") as client,
    ):
        error = error_of(client)
    assert error.code == "timeout"
    assert "127.0.0.1" in str(error)


def test_a_broken_connection_is_an_error_that_shows_no_secret() -> None:
    with listening(lambda connection, _: connection.close()) as server, opened(server, setting="url") as client:
        error = error_of(client)
    assert str(error) == "The connection to 127.0.0.1 broke off in the middle. The request is retried."
    assert (error.code, error.__cause__, error.__suppress_context__) == ("reset", None, True)


def test_an_error_within_the_block_of_an_open_answer_is_the_same_error() -> None:
    answer = then_closed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    with listening(answer) as server, opened(server) as client, pytest.raises(ThirdPartyGenericError) as raised:
        read_open_answer(client)
    assert raised.value.code == "reset"


def read_open_answer(client: HttpClient) -> None:
    with client.open("GET", "x") as response:
        assert response.status_code == 200
        response.read()


def test_an_environment_that_cannot_be_used_is_an_error_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ValueError("Unknown scheme for proxy URL")

    monkeypatch.setattr(client_module.httpx, "Client", refuse)
    with pytest.raises(ThirdPartyConfigError) as raised:
        HttpClient("https://example.com", KEY, service="The collector")
    assert (raised.value.code, str(raised.value)) == (
        "environment",
        (
            "The certificates or the proxy that the environment names cannot be used. Check SSL_CERT_FILE, "
            "SSL_CERT_DIR, HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
        ),
    )


# Who hears of an answer


def test_what_hears_of_an_answer_hears_before_the_body_and_may_refuse_it() -> None:
    seen: list[int] = []

    def refuse(response: httpx.Response) -> None:
        seen.append(response.status_code)
        raise ThirdPartyConfigError("It is refused.")

    with (
        listening(dripping(b"HTTP/1.1 403 No\r\nContent-Length: 9999\r\n\r\n", b" ")) as server,
        opened(server, on_response=refuse) as client,
        pytest.raises(ThirdPartyConfigError, match=r"^It is refused\.$"),
    ):
        client.request("GET", "x")
    assert seen == [403]


def test_a_slot_is_left_when_the_server_has_begun_to_answer_and_before_the_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    read = client_module.read_body

    def read_body(response: httpx.Response, body_max: int) -> bytes:
        order.append("body")
        return read(response, body_max)

    @contextmanager
    def slot() -> Iterator[None]:
        order.append("entered")
        yield
        order.append("left")

    monkeypatch.setattr(client_module, "read_body", read_body)
    with (
        listening(always(answered(b"yes"))) as server,
        opened(server, on_response=lambda _: order.append("answer")) as client,
    ):
        assert client.request("GET", "x", slot=slot).content == b"yes"
    assert order == ["entered", "answer", "left", "body"]


def test_a_slot_that_cannot_be_entered_makes_no_request() -> None:
    @contextmanager
    def slot() -> Iterator[None]:
        raise ThirdPartyGenericError("Wait.")
        yield

    with listening(always(answered(b"yes"))) as server, opened(server) as client:
        with pytest.raises(ThirdPartyGenericError, match="Wait"):
            client.request("GET", "x", slot=slot)
        assert server.connections == 0


# What a client keeps


def set_cookies(number: int) -> bytes:
    lines = b"".join(b"Set-Cookie: c%d=1\r\n" % n for n in range(number))
    return b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("number", "sent"), [(2, True), (COOKIES_MAX, True), (COOKIES_MAX + 1, False)])
def test_cookies_are_sent_again_unless_there_are_too_many(number: int, sent: bool) -> None:
    with listening(always(set_cookies(number))) as server, opened(server) as client:
        for _ in range(2):
            client.request("GET", "x")
    assert [b"Cookie: " in request for request in server.requests] == [False, sent]


def test_a_client_is_not_pickled_and_does_not_show_its_headers() -> None:
    with HttpClient("http://127.0.0.1:9", KEY, service="The collector") as client:
        with pytest.raises(
            TypeError, match=r"^An HttpClient is not pickled: it may hold a secret\. Open another one\.$"
        ):
            pickle.dumps(client)
        assert repr(client) == "HttpClient('The collector')"


def test_a_client_is_closed_at_the_end_of_its_block() -> None:
    with listening(always(answered(b""))) as server:
        with opened(server) as client:
            client.request("GET", "x")
        with pytest.raises(RuntimeError, match="closed"):
            client.request("GET", "x")


@pytest.mark.parametrize(
    ("timeout", "bounded"),
    [
        (httpx.Timeout(None), (5, 5, 5, 5)),
        (httpx.Timeout(connect=1, read=60, write=5, pool=None), (1, 5, 5, 5)),
    ],
)
def test_no_wait_is_longer_than_the_deadline(timeout: httpx.Timeout, bounded: tuple[int, ...]) -> None:
    found = client_module._within(timeout, 5)
    assert (found.connect, found.read, found.write, found.pool) == bounded


def test_each_request_has_the_deadline_and_the_bound_of_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[float, int]] = []

    def start(limits: ExchangeLimits, seconds: float, received_max: int) -> None:
        started.append((seconds, received_max))
        original(limits, seconds, received_max)

    original = client_module.ExchangeLimits.start
    monkeypatch.setattr(client_module.ExchangeLimits, "start", start)
    with listening(always(answered(b""))) as server, opened(server, deadline=7, body_max=100) as client:
        client.request("GET", "x")
        client.request("GET", "x")
    assert started == [(7, 200 + 1024 * 1024)] * 2
    assert BODY_MAX == 1024 * 1024


# The environment


@pytest.mark.parametrize(
    ("url", "options", "looked_up"),
    [
        ("https://example.com/x", {}, ["https://example.com/x"]),
        ("https://example.com/x", {"through_proxy": False}, []),
        ("http://127.0.0.1:9/", {}, []),
        ("http://localhost:9/", {}, []),
    ],
)
def test_only_requests_to_other_machines_go_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, url: str, options: dict[str, bool], looked_up: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(client_module.proxies, "proxy_of", found.append)
    HttpClient(url, KEY, service="The collector", **options).close()
    assert found == looked_up


def test_certificates_are_checked_for_https_and_read_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    trusted = client_module.tls.trusted
    monkeypatch.setattr(client_module.tls, "trusted", lambda: read.append("authorities") or trusted())
    HttpClient("http://127.0.0.1:9", KEY, service="The collector").close()
    assert read == []
    HttpClient("https://127.0.0.1:9", KEY, service="The collector").close()
    assert read == ["authorities"]


def test_a_response_is_no_success_beyond_299() -> None:
    assert HttpResponse(299, httpx.Headers(), b"").is_success
    assert not HttpResponse(300, httpx.Headers(), b"").is_success
