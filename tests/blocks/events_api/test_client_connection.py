"""The client against servers that no sandbox can be: TLS, redirects, drips, bombs."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from support.certificates import (
    HERE,
    OTHER_KEY,
    certificate,
    rejected_certificates,
    server_context,
)
from support.clients import START_NS, TOKEN, failure_of, open_client
from support.hostile_answers import HOSTILE, hostile
from support.raw_server import PAGE, always, answered, dripping, listening, page_answer, then_closed

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from blocks.http.client import DEADLINE
from blocks.http.deadline import ExchangeLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployments.sandbox.process import SandboxProcess


pytestmark = pytest.mark.usefixtures("one_authority")


# Redirects


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
def test_a_redirect_is_not_followed_and_its_target_never_hears_of_the_token(status: bytes) -> None:
    with listening(always(page_answer())) as target:
        answer = always(answered(b"", status, Location=f"{target.url}/api/v2/auditevents"))
        with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
            assert failure_of(client).code == status[:3].decode()
            with pytest.raises(ThirdPartyGenericError, match="not followed"):
                client.introspect()
        assert len(server.requests) == 2
    assert target.connections == 0


@pytest.mark.parametrize("location", ["http://[", "//\x01", "javascript:alert(1)", "/api/v2/auditevents", ""])
def test_a_redirect_to_nowhere_is_a_redirect_too(location: str) -> None:
    answer = then_closed(answered(b"", b"302 Found", Location=location))
    with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
        error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "302")
    assert len(server.requests) == 1


# Size


@pytest.mark.parametrize("options", [{}, {"chunked": True}, {"gzip": True}], ids=str)
def test_a_response_that_is_too_large_is_not_read(sandbox: SandboxProcess, options: dict[str, Any]) -> None:
    sandbox.fault("oversized", bytes=100_000_000, **options)
    with open_client(sandbox, response_max=1_000_000) as client:
        code, peak = _peak(lambda: failure_of(client).code)
    assert code == "too-large"
    assert peak < 5_000_000


def _peak(call: Callable[[], str]) -> tuple[str, int]:
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_response_of_just_the_size_is_read() -> None:
    with listening(always(page_answer())) as server:
        with EventsClient(server.url, TOKEN, response_max=len(PAGE)) as client:
            assert client.first_page(Api.AUDIT, START_NS).events
        with EventsClient(server.url, TOKEN, response_max=len(PAGE) - 1) as client:
            assert failure_of(client).code == "too-large"


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_does_not_go_off(layers: int) -> None:
    bomb = bytes(10_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    answer = then_closed(answered(bomb, Content_Encoding=", ".join(["gzip"] * layers)))
    with listening(answer) as server, EventsClient(server.url, TOKEN, response_max=1_000_000) as client:
        code, peak = _peak(lambda: failure_of(client).code)
    assert code == ("too-large" if layers == 1 else "invalid-body")
    assert peak < 5_000_000


PACKED = gzip.compress(PAGE, mtime=0)  # the time would be in the names of the tests


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(PACKED, "gzip"), (PACKED, "GZIP"), (PAGE, "identity"), (PACKED + b"behind it", "gzip")],
)
def test_a_body_in_an_accepted_encoding_is_read(body: bytes, encoding: str) -> None:
    with (
        listening(always(answered(body, Content_Encoding=encoding))) as server,
        EventsClient(server.url, TOKEN) as client,
    ):
        assert len(client.first_page(Api.AUDIT, START_NS).events) == 1


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PACKED[:-9], "gzip"),
        (PACKED[:-1], "gzip"),
        (PACKED[:5], "gzip"),
        (PAGE, "gzip"),
        (PAGE, "br"),
        (PACKED, "deflate"),
        (PAGE, "x"),
    ],
)
def test_a_body_that_cannot_be_unpacked(body: bytes, encoding: str) -> None:
    answer = then_closed(answered(body, Content_Encoding=encoding))
    with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
        error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "invalid-body")


def test_a_refusal_without_a_body_needs_no_unpacking() -> None:
    answer = always(answered(b"", b"401 Unauthorized", Content_Encoding="gzip"))
    with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
        assert failure_of(client).code == "401"


# Time

# A gzip header with a file name that does not end: it unpacks to nothing, however much comes.
PACKED_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000000000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff"
)
DRIPS = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk's size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "more headers": (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "the first line": (b"HTTP/1.1 200 ", b"x"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a file name within gzip": (PACKED_HEAD, b"x"),
    "an error's body": (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100000\r\n\r\n", b" "),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_server_that_drips_is_given_up_at_the_deadline(drip: str) -> None:
    with listening(dripping(*DRIPS[drip])) as server, EventsClient(server.url, TOKEN, deadline=0.15) as client:
        started = time.monotonic()
        error = failure_of(client)
        assert time.monotonic() - started < 2
    assert (type(error), error.code) == (ThirdPartyGenericError, "timeout")
    assert "took longer than 0.15 seconds" in str(error)


def test_a_server_that_floods_is_given_up_at_the_deadline() -> None:
    answer = dripping(PACKED_HEAD, b"x" * 65536, pause=0)
    with listening(answer) as server, EventsClient(server.url, TOKEN, deadline=0.15, response_max=2**40) as client:
        assert "took longer than 0.15 seconds" in str(failure_of(client))


def test_a_server_that_floods_with_what_unpacks_to_nothing_is_given_up_at_the_bound() -> None:
    answer = dripping(PACKED_HEAD, b"x" * 65536, pause=0)
    with listening(answer) as server, EventsClient(server.url, TOKEN, response_max=10_000) as client:
        assert failure_of(client).code == "too-large"


def test_each_thread_has_a_deadline_of_its_own() -> None:
    limits = ExchangeLimits()
    limits.start(0, 10)
    other = threading.Thread(target=limits.start, args=(100, 10))
    other.start()
    other.join()
    assert limits.is_over


def test_the_deadline_is_of_one_request(sandbox: SandboxProcess) -> None:
    sandbox.fault("delay", seconds=0.1)
    with open_client(sandbox, deadline=0.3) as client:
        for _ in range(4):
            assert client.first_page(Api.AUDIT, START_NS, limit=1).events


def test_the_status_is_looked_at_before_the_body() -> None:
    head = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 4\r\nContent-Length: 100000\r\n\r\n"
    with listening(dripping(head, b" ")) as server, EventsClient(server.url, TOKEN) as client:
        started = time.monotonic()
        error = failure_of(client)
        assert time.monotonic() - started < 5
    assert (error.code, getattr(error, "retry_after", None)) == ("503", 4.0)


@pytest.mark.parametrize("hostility", HOSTILE)
def test_a_hostile_answer_is_bounded_in_bytes_and_in_time(hostility: str) -> None:
    codes = HOSTILE[hostility][1]
    deadline = 0.5 if "timeout" in codes else DEADLINE
    with (
        listening(hostile(hostility)) as server,
        EventsClient(server.url, TOKEN, response_max=1_000_000, deadline=deadline) as client,
    ):
        code, peak = _peak(lambda: failure_of(client).code)
    assert code in codes
    assert peak < 5_000_000


# No connection


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with EventsClient("https://events.1password.com", TOKEN) as client:
        error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "dns")
    assert "The name events.1password.com could not be resolved. Check base_url" in str(error)


def test_a_port_without_a_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with EventsClient(f"http://127.0.0.1:{port}", TOKEN) as client:
        error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "connect")
    assert "127.0.0.1 refused the connection. Check base_url" in str(error)


def test_a_server_that_hangs_up() -> None:
    with listening(lambda connection, _: connection.close()) as server, EventsClient(server.url, TOKEN) as client:
        assert failure_of(client).code == "reset"


def test_a_server_that_speaks_something_else() -> None:
    with listening(then_closed(b"SSH-2.0-x\r\n\r\n")) as server, EventsClient(server.url, TOKEN) as client:
        assert failure_of(client).code == "invalid-answer"


# TLS


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_of_a_trusted_authority_is_taken(tmp_path: Path, host: str) -> None:
    tls = server_context(tmp_path, certificate(HERE))
    with listening(always(page_answer()), tls, host) as server, EventsClient(server.url, TOKEN) as client:
        assert client.first_page(Api.AUDIT, START_NS).events
    assert f"Bearer {TOKEN}".encode() in server.requests[0]


def test_a_connection_is_closed_with_a_close_notify(tmp_path: Path) -> None:
    ends: list[bytes | ssl.SSLError] = []

    def answer(connection: socket.socket, _over: threading.Event) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(page_answer())
        connection.suppress_ragged_eofs = False
        try:
            ends.append(connection.recv(1))
        except ssl.SSLError as error:
            ends.append(error)
        connection.close()

    with (
        listening(answer, server_context(tmp_path, certificate(HERE)), "localhost") as server,
        EventsClient(server.url, TOKEN) as client,
    ):
        assert client.first_page(Api.AUDIT, START_NS).events
    assert ends == [b""]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        *rejected_certificates(),
        pytest.param(
            certificate(HERE, signed_by=OTHER_KEY), "unable to get local issuer certificate", id="unknown authority"
        ),
    ],
)
def test_a_certificate_that_is_refused(tmp_path: Path, shown: x509.Certificate, text: str) -> None:
    with (
        listening(always(page_answer()), server_context(tmp_path, shown), "localhost") as server,
        EventsClient(server.url, TOKEN) as client,
    ):
        error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "tls")
    assert f"The certificate of localhost was refused: {text}" in str(error)
    assert "Nothing was sent" in str(error)
    assert "where a proxy inspects TLS, set SSL_CERT_FILE" in str(error)
    assert server.requests == []


def test_a_server_without_tls_where_it_should_be() -> None:
    with listening(then_closed(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        with EventsClient(server.url.replace("http:", "https:"), TOKEN) as client:
            error = failure_of(client)
        assert (type(error), error.code) == (ThirdPartyGenericError, "tls")
        assert not any(TOKEN.encode() in request for request in server.requests)


# The environment


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_is_for_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch, name: str, host: str) -> None:
    with listening(always(page_answer())) as server, listening(always(page_answer())) as proxy:
        monkeypatch.setenv(name, proxy.url)
        with EventsClient(server.url.replace("127.0.0.1", host), TOKEN) as client:
            assert client.first_page(Api.AUDIT, START_NS).events
    assert (server.connections, proxy.connections) == (1, 0)


def test_a_proxy_that_refuses_never_sees_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(then_closed(answered(b"", b"407 Proxy Authentication Required"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with EventsClient("https://events.1password.com", TOKEN) as client:
            error = failure_of(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "proxy")
    assert "Check HTTPS_PROXY" in str(error)
    assert proxy.requests[0].startswith(b"CONNECT events.1password.com:443 ")
    assert TOKEN.encode() not in proxy.requests[0]


def test_a_proxy_that_drips_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(dripping(b"HTTP/1.1 200 ", b"x")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with EventsClient("https://events.1password.com", TOKEN, deadline=0.15) as client:
            assert "took longer than 0.15 seconds" in str(failure_of(client))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/authority.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/nowhere"),
        ("HTTPS_PROXY", "gopher://user:hidden@x"),
        ("ALL_PROXY", "http://["),
    ],
)
def test_an_environment_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv(name, value)
    with pytest.raises(ThirdPartyConfigError, match=f"^{name} .*Set {name}") as raised:
        EventsClient("https://events.1password.com", TOKEN)
    assert raised.value.code == "environment"
    assert "hidden" not in str(raised.value)
