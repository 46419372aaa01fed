"""The client against the sandbox, and against servers that no sandbox can be: TLS, redirects, drips, bombs."""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import ipaddress
import json
import pickle
import socket
import ssl
import threading
import time
import tracemalloc
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)
from blocks.events_api.client import DEADLINE, PAGE_SIZE, TIMEOUT, EventsClient
from blocks.events_api.deadline import Deadline
from blocks.events_api.models import Api, Page
from blocks.events_api.sandbox.faults import KINDS
from blocks.events_api.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from blocks.events_api.sandbox.process import SandboxProcess

    Answer = Callable[[socket.socket, threading.Event], None]

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOlsiZXZlbnRzIl19.c2lnbmF0dXJl"
START_NS = 1577836800 * 10**9  # 2020-01-01
QUICK = httpx.Timeout(0.1)
EVENTS = 90


@pytest.fixture(autouse=True)
def one_authority(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only one that is trusted: the system's many take longer to load than most tests here."""
    path = tmp_path_factory.getbasetemp() / "authority.pem"
    path.write_bytes(AUTHORITY.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3 * EVENTS, seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    yield running
    running.clear_faults()
    running.clear_requests()


def opened(sandbox: SandboxProcess, **options: Any) -> EventsClient:
    return EventsClient(sandbox.base_url, options.pop("token", sandbox.token), **options)


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[EventsClient]:
    with opened(sandbox) as client:
        yield client


def drained(client: EventsClient, api: Api = Api.AUDIT, **asked: Any) -> list[Page]:
    pages = [client.first_page(api, START_NS, **asked)]
    while pages[-1].has_more:
        pages.append(client.next_page(api, pages[-1].cursor))
    return pages


def bodies(pages: list[Page]) -> list[bytes]:
    return [event.body.encode() for page in pages for event in page.events]


def failed(client: EventsClient, cursor: str | None = None, api: Api = Api.AUDIT) -> SourceError:
    """The error of one request for a page."""
    with pytest.raises(SourceError) as raised:
        client.first_page(api, START_NS) if cursor is None else client.next_page(api, cursor)
    return raised.value


# What is asked


def test_introspection_tells_the_scopes_and_the_account(client: EventsClient, sandbox: SandboxProcess) -> None:
    told = client.introspect()
    truth = sandbox.introspect().json()
    assert (told.uuid, told.account_uuid) == (truth["uuid"], truth["account_uuid"])
    assert all(told.allows(api) for api in Api)
    assert sandbox.requests()["endpoints"].keys() == {"GET /api/v2/auth/introspect"}


def test_introspection_falls_back_to_v1(client: EventsClient, sandbox: SandboxProcess) -> None:
    sandbox.fault("404", api="introspect", version=2)
    told = client.introspect()
    assert told.account_uuid is None
    assert told.uuid == sandbox.introspect(1).json()["UUID"]
    assert told.scopes == {api.path for api in Api}


def test_introspection_knows_a_token_with_one_scope(sandbox: SandboxProcess) -> None:
    with opened(sandbox, token=sandbox.issue_token(["itemusages"])) as client:
        assert [api for api in Api if client.introspect().allows(api)] == [Api.ITEM_USAGE]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_the_first_request_has_a_start_and_the_others_a_cursor_alone(
    sandbox: SandboxProcess, api: Api, version: str
) -> None:
    with opened(sandbox, api_version=version) as client:
        client.next_page(api, client.first_page(api, START_NS).cursor)
    first, second = sandbox.requests()["last"]
    assert first["endpoint"] == second["endpoint"] == f"POST /api/{version}/{api.path}"
    assert first["query"] == {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}
    assert second["query"].keys() == {"cursor"}


def test_a_window_has_an_end_and_nanoseconds(client: EventsClient, sandbox: SandboxProcess) -> None:
    client.first_page(Api.AUDIT, START_NS + 1, end_ns=START_NS + 10**9, limit=7)
    assert sandbox.requests()["last"][0]["query"] == {
        "limit": 7,
        "start_time": "2020-01-01T00:00:00.000000001Z",
        "end_time": "2020-01-01T00:00:01Z",
    }


def test_a_request_says_who_asks_and_what_it_takes(client: EventsClient, sandbox: SandboxProcess) -> None:
    client.introspect()
    asked = sandbox.requests()["last"][0]
    assert asked["user_agent"] == f"onepassword-source/{importlib.metadata.version('onepassword-source')}"
    assert asked["accept_encoding"] == "gzip"
    assert PAGE_SIZE == 1000


def test_requests_share_a_connection() -> None:
    with listening(always(page_answer())) as server, EventsClient(server.url, TOKEN) as client:
        for _ in range(3):
            client.first_page(Api.AUDIT, START_NS)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_threads_share_a_client(sandbox: SandboxProcess) -> None:
    found: dict[Api, list[bytes]] = {}
    with opened(sandbox) as client:

        def drain(api: Api) -> None:
            found[api] = bodies(drained(client, api, limit=7))

        threads = [threading.Thread(target=drain, args=(api,)) for api in Api]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {api: sandbox.events(api.path) for api in Api}


# What comes back


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_every_event_is_read_once_byte_for_byte(sandbox: SandboxProcess, api: Api, version: str) -> None:
    with opened(sandbox, api_version=version) as client:
        whole, small = drained(client, api), drained(client, api, limit=20)
    assert bodies(whole) == bodies(small) == sandbox.events(api.path, version)
    assert [len(page.events) for page in small] == [20, 20, 20, 20, 10]
    assert all(event.uuid == json.loads(event.body)["uuid"] for event in whole[0].events)


def test_a_packed_page_is_the_same_page(sandbox: SandboxProcess) -> None:
    asked = {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}
    assert sandbox.ask("auditevents", asked).headers["content-encoding"] == "gzip"  # so they came packed above
    with running_sandbox(events=30, gzip=False) as plain, opened(plain) as client:
        assert "content-encoding" not in plain.ask("auditevents", asked).headers
        assert bodies(drained(client)) == plain.events("auditevents")


def test_the_end_of_a_stream_is_asked_again_until_something_comes(
    client: EventsClient, sandbox: SandboxProcess
) -> None:
    end = drained(client, Api.SIGN_IN)[-1]
    assert client.next_page(Api.SIGN_IN, end.cursor) == Page(end.cursor, has_more=False, events=[], rejected=[])
    sandbox.append("signinattempts", b'{ "uuid" : "LATE" , "timestamp":"2026-03-04T05:06:07.5Z","x":"\\ud800"}')
    page = client.next_page(Api.SIGN_IN, end.cursor)
    assert [event.body for event in page.events] == [
        '{ "uuid" : "LATE" , "timestamp":"2026-03-04T05:06:07.5Z","x":"\\ud800"}'
    ]


# Every fault of the sandbox

STATUSES = {
    "400": ThirdPartyConfigError,
    "401": UnconfirmedError,
    "403": UnconfirmedError,
    "404": UnconfirmedError,
    "408": ThirdPartyGenericError,
    "425": ThirdPartyGenericError,
    "429": ThirdPartyGenericError,
    "500": ThirdPartyGenericError,
    "502": ThirdPartyGenericError,
    "503": ThirdPartyGenericError,
    "504": ThirdPartyGenericError,
}
TEXTS = {
    "400": "refused the first request for audit (400: Bad Request). Check collect_from and api_version",
    "401": "answered 401: Unauthorized for audit. It is asked whether the token is still good",
    "403": "answered 403: Forbidden for audit. It is asked whether the token is still good",
    "404": "answered 404: 404 page not found for audit. It is asked whether the token is still good",
    "429": "too many requests in this minute or hour. Reading goes on by itself.",
    "500": "answered 500. The request is made again.",
}
BROKEN: dict[str, tuple[dict[str, Any], type[SourceError], str, str]] = {
    "rejected_first": ({}, ThirdPartyConfigError, "400", "first request"),
    "revoked": ({}, UnconfirmedError, "401", "Unauthorized"),
    "lost_scope": ({}, UnconfirmedError, "401", "Unauthorized"),
    "reset": ({}, ThirdPartyGenericError, "reset", "broke off in the middle"),
    "truncated": ({}, ThirdPartyGenericError, "reset", "broke off in the middle"),
    "stall": ({}, ThirdPartyGenericError, "timeout", "did not answer in time"),
    "bad_json": ({}, ThirdPartyGenericError, "invalid-body", "not with a page of events"),
    "html": ({}, ThirdPartyGenericError, "invalid-body", "not with a page of events"),
    "redirect": ({}, ThirdPartyGenericError, "302", "a redirect. It was not followed"),
    "oversized": ({"bytes": 300_000}, ThirdPartyGenericError, "too-large", "more than 200,000 bytes"),
    "body": ({"body": "{}"}, ThirdPartyGenericError, "invalid-body", "not with a page of events"),
    "no_cursor": ({}, ThirdPartyGenericError, "invalid-body", "not with a page of events"),
    "no_has_more": ({}, ThirdPartyGenericError, "invalid-body", "not with a page of events"),
}
HARMLESS: dict[str, dict[str, Any]] = {
    "delay": {"seconds": 0.05},
    "empty_page": {"times": 1},
    "duplicates": {"times": 1},
    "reversed": {"times": 1},
    "null_items": {"times": 1},
    "no_items": {"times": 1},
    "unknown_members": {},
    "unknown_values": {},
    "huge_numbers": {},
    "nul_escapes": {},
    "lone_surrogates": {},
    "big_event": {"bytes": 100_000, "times": 3},
}
ENDLESS = {"endless_pages", "stuck_cursor", "repeated_page"}
POISON = {
    "no_uuid": {"no uuid", "uuid is not a string"},
    "unreadable_time": {"no timestamp", "timestamp is not an RFC 3339 time: 'yesterday'"},
    "not_an_object": {"not a JSON object"},
}


def test_every_fault_of_the_sandbox_is_tried() -> None:
    tried = [*STATUSES, *BROKEN, *HARMLESS, *ENDLESS, *POISON, "rejected_cursor"]
    assert sorted(tried) == sorted(KINDS)


@pytest.mark.parametrize(("kind", "error_type"), STATUSES.items())
def test_a_status_is_one_error(
    client: EventsClient, sandbox: SandboxProcess, kind: str, error_type: type[SourceError]
) -> None:
    sandbox.fault(kind)
    error = failed(client)
    assert type(error) is error_type
    assert (error.code, TEXTS.get(kind, f"answered {kind}. The request is made again.") in str(error)) == (kind, True)
    sandbox.clear_faults()
    assert client.first_page(Api.AUDIT, START_NS).events


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_message_of_the_server_is_told_in_both_forms(sandbox: SandboxProcess, version: str) -> None:
    with opened(sandbox, api_version=version) as client:
        assert "(400" in str(failed(client, cursor="not-a-cursor"))
        sandbox.fault("403", form=version)
        assert "403: Forbidden" in str(failed(client))


def test_a_400_to_a_cursor_is_of_its_own_kind(client: EventsClient, sandbox: SandboxProcess) -> None:
    cursor = client.first_page(Api.AUDIT, START_NS).cursor
    sandbox.fault("rejected_cursor")
    error = failed(client, cursor)
    assert type(error) is CursorRejectedError
    assert (error.code, "48 hours" in str(error)) == ("400", True)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_one_error(sandbox: SandboxProcess, kind: str) -> None:
    options, error_type, code, text = BROKEN[kind]
    sandbox.fault(kind, api="auditevents", **options)
    with opened(sandbox, timeout=QUICK if kind == "stall" else httpx.Timeout(10), response_max=200_000) as client:
        error = failed(client)
        assert type(error) is error_type
        assert (error.code, text in str(error)) == (code, True), str(error)
        assert error.hint
        sandbox.clear_faults()
        assert client.first_page(Api.AUDIT, START_NS, limit=5).events


@pytest.mark.parametrize("after_headers", [False, True])
@pytest.mark.parametrize("limit", [{"timeout": QUICK}, {"deadline": 0.1}], ids=["timeout", "deadline"])
def test_a_stall_ends_in_time(sandbox: SandboxProcess, limit: dict[str, Any], after_headers: bool) -> None:
    sandbox.fault("stall", after_headers=after_headers)
    with opened(sandbox, **limit) as client:
        started = time.monotonic()
        error = failed(client)
        assert time.monotonic() - started < 2
    assert error.code == "timeout"
    assert ("took longer than 0.1 seconds" if "deadline" in limit else "did not answer in time") in str(error)


def test_there_is_a_timeout_on_everything() -> None:
    assert all(seconds is not None and 0 < seconds <= 60 for seconds in TIMEOUT.as_dict().values())
    assert DEADLINE <= 120


@pytest.mark.parametrize(("kind", "options"), HARMLESS.items())
def test_what_a_client_must_bear(
    client: EventsClient, sandbox: SandboxProcess, kind: str, options: dict[str, Any]
) -> None:
    sandbox.fault(kind, api="auditevents", **options)
    pages = drained(client)
    assert set(bodies(pages)) == set(sandbox.events("auditevents"))
    assert not any(page.rejected for page in pages)


@pytest.mark.parametrize("kind", sorted(ENDLESS))
def test_a_server_that_goes_round_in_circles_still_answers_in_pages(
    client: EventsClient, sandbox: SandboxProcess, kind: str
) -> None:
    cursor = client.first_page(Api.AUDIT, START_NS, limit=5).cursor
    sandbox.fault(kind, api="auditevents")
    page = client.next_page(Api.AUDIT, cursor)
    assert page.has_more
    assert (page.cursor == cursor) is (kind != "endless_pages")


@pytest.mark.parametrize(("kind", "reasons"), POISON.items())
def test_an_item_that_is_no_event_stops_no_page(
    client: EventsClient, sandbox: SandboxProcess, kind: str, reasons: set[str]
) -> None:
    sandbox.fault(kind, api="auditevents", every=5)
    page = client.first_page(Api.AUDIT, START_NS)
    truth = sandbox.events("auditevents")
    assert len(page.rejected) == EVENTS // 5
    assert [one.body for one in page.rejected] == truth[::5]
    assert bodies([page]) == [body for number, body in enumerate(truth) if number % 5]
    assert {one.reason for one in page.rejected} >= reasons


# Introspection refused


@pytest.mark.parametrize(
    ("kind", "error_type", "text"),
    [
        ("401", TokenError, "refuses the token (401: Unauthorized). Check that the token is whole"),
        ("403", TokenError, "refuses the token (403: Forbidden). Check that the token is whole"),
        ("404", TokenError, "introspection of v2 and of v1. Check base_url"),
        ("400", ThirdPartyGenericError, "not documented"),
        ("429", ThirdPartyGenericError, "too many requests"),
        ("500", ThirdPartyGenericError, "answered 500"),
        ("html", ThirdPartyGenericError, "no proxy answers in its place"),
        ("redirect", ThirdPartyGenericError, "not followed"),
        ("reset", ThirdPartyGenericError, "broke off"),
    ],
)
def test_a_refused_introspection(
    client: EventsClient, sandbox: SandboxProcess, kind: str, error_type: type[SourceError], text: str
) -> None:
    sandbox.fault(kind, api="introspect")
    with pytest.raises(SourceError) as raised:
        client.introspect()
    assert type(raised.value) is error_type
    assert text in str(raised.value)


def test_a_revoked_and_an_expired_and_a_foreign_token(sandbox: SandboxProcess) -> None:
    revoked = sandbox.issue_token()
    sandbox.revoke(revoked)
    for token, code in [(revoked, "401"), (sandbox.issue_token(expires_in=-10), "401"), ("cut-short", "404")]:
        with opened(sandbox, token=token) as client:
            with pytest.raises(ThirdPartyConfigError) as raised:
                client.introspect()
            assert raised.value.code == code
            assert type(failed(client)) is UnconfirmedError


# Retry-After


@pytest.mark.parametrize("kind", ["429", "503"])
def test_the_servers_wish_to_wait(client: EventsClient, sandbox: SandboxProcess, kind: str) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    waits = []
    for wish in (7, in_a_minute, "soon"):
        sandbox.fault(kind, retry_after=wish, times=1)
        error = failed(client)
        assert isinstance(error, ThirdPartyGenericError)
        waits.append(error.retry_after)
    assert waits == [7.0, pytest.approx(55, abs=5), None]


def test_the_rate_window_of_the_sandbox_is_a_429(client: EventsClient, sandbox: SandboxProcess) -> None:
    sandbox.rates((1, 60))
    try:
        client.first_page(Api.AUDIT, START_NS)
        assert failed(client).code == "429"
    finally:
        sandbox.rates()


# A server of our own, for what the sandbox does not do


@dataclass
class Server:
    url: str
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def listening(
    answer: Answer,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Server]:
    """A server that keeps what it is sent, and answers each request with `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)
        scheme = "https" if tls else "http"
        server = Server(f"{scheme}://{host}:{door.getsockname()[1]}")
        thread = threading.Thread(target=_accept, args=(door, server, answer, tls), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(door.getsockname()).close()  # wakes the one who waits at the door
            thread.join()


def _accept(door: socket.socket, server: Server, answer: Answer, tls: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = door.accept()
        with connection:
            if server.over.is_set():
                return
            server.connections += 1
            with contextlib.suppress(OSError):
                connection.settimeout(10)
                _serve(tls.wrap_socket(connection, server_side=True) if tls else connection, server, answer)


def _serve(connection: socket.socket, server: Server, answer: Answer) -> None:
    with connection:
        while request := _read_request(connection):
            server.requests.append(request)
            answer(connection, server.over)


TLS_HELLO = b"\x16\x03"


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        if not (came := connection.recv(65536)):
            return b""
        request += came
        if request.startswith(TLS_HELLO):
            return request
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def always(answer: bytes) -> Answer:
    return lambda connection, _over: connection.sendall(answer)


def then_closed(answer: bytes) -> Answer:
    def send(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return send


def dripping(head: bytes, drop: bytes, pause: float = 0.02) -> Answer:
    """`head`, and then `drop` again and again, faster than any read timeout, until the client hangs up."""

    def send(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(drop)

    return send


def answered(body: bytes, status: bytes = b"200 OK", **headers: str) -> bytes:
    lines = [b"%b: %b" % (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body), b"", body])


PAGE = b'{"cursor":"c","has_more":false,"items":[{"uuid":"A","timestamp":"2026-03-04T05:06:07Z"}]}'


def page_answer() -> bytes:
    return answered(PAGE, Content_Type="application/json")


# Redirects


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 Temporary", b"308 Permanent"])
def test_a_redirect_is_not_followed_and_its_target_never_hears_of_the_token(status: bytes) -> None:
    with listening(always(page_answer())) as target:
        answer = always(answered(b"", status, Location=f"{target.url}/api/v2/auditevents"))
        with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
            assert failed(client).code == status[:3].decode()
            with pytest.raises(ThirdPartyGenericError, match="not followed"):
                client.introspect()
        assert len(server.requests) == 2
    assert target.connections == 0


@pytest.mark.parametrize("location", ["http://[", "//\x01", "javascript:alert(1)", "/api/v2/auditevents", ""])
def test_a_redirect_to_nowhere_is_a_redirect_too(location: str) -> None:
    answer = then_closed(answered(b"", b"302 Found", Location=location))
    with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
        error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "302")
    assert len(server.requests) == 1


# Size


@pytest.mark.parametrize("options", [{}, {"chunked": True}, {"gzip": True}], ids=str)
def test_a_response_that_is_too_large_is_not_read(sandbox: SandboxProcess, options: dict[str, Any]) -> None:
    sandbox.fault("oversized", bytes=100_000_000, **options)
    with opened(sandbox, response_max=1_000_000) as client:
        code, peak = _peak(lambda: failed(client).code)
    assert code == "too-large"
    assert peak < 5_000_000


def _peak(asked: Callable[[], str]) -> tuple[str, int]:
    tracemalloc.start()
    try:
        return asked(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_response_of_just_the_size_is_read() -> None:
    with listening(always(page_answer())) as server:
        with EventsClient(server.url, TOKEN, response_max=len(PAGE)) as client:
            assert client.first_page(Api.AUDIT, START_NS).events
        with EventsClient(server.url, TOKEN, response_max=len(PAGE) - 1) as client:
            assert failed(client).code == "too-large"


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_does_not_go_off(layers: int) -> None:
    bomb = bytes(10_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    answer = then_closed(answered(bomb, Content_Encoding=", ".join(["gzip"] * layers)))
    with listening(answer) as server, EventsClient(server.url, TOKEN, response_max=1_000_000) as client:
        code, peak = _peak(lambda: failed(client).code)
    assert code == ("too-large" if layers == 1 else "invalid-body")
    assert peak < 5_000_000


PACKED = gzip.compress(PAGE, mtime=0)  # the time would be in the names of the tests


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(PACKED, "gzip"), (PACKED, "GZIP"), (PAGE, "identity"), (PACKED + b"behind it", "gzip")],
)
def test_a_body_packed_as_asked(body: bytes, encoding: str) -> None:
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
        error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "invalid-body")


def test_a_refusal_without_a_body_needs_no_unpacking() -> None:
    answer = always(answered(b"", b"401 Unauthorized", Content_Encoding="gzip"))
    with listening(answer) as server, EventsClient(server.url, TOKEN) as client:
        assert failed(client).code == "401"


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
        error = failed(client)
        assert time.monotonic() - started < 2
    assert (type(error), error.code) == (ThirdPartyGenericError, "timeout")
    assert "took longer than 0.15 seconds" in str(error)


def test_a_server_that_floods_is_given_up_at_the_deadline() -> None:
    answer = dripping(PACKED_HEAD, b"x" * 65536, pause=0)
    with listening(answer) as server, EventsClient(server.url, TOKEN, deadline=0.15) as client:
        assert "took longer than 0.15 seconds" in str(failed(client))


def test_each_thread_has_a_deadline_of_its_own() -> None:
    deadline = Deadline()
    deadline.start(0)
    other = threading.Thread(target=deadline.start, args=(100,))
    other.start()
    other.join()
    assert deadline.passed


def test_the_deadline_is_of_one_request(sandbox: SandboxProcess) -> None:
    sandbox.fault("delay", seconds=0.1)
    with opened(sandbox, deadline=0.3) as client:
        for _ in range(4):
            assert client.first_page(Api.AUDIT, START_NS, limit=1).events


def test_the_status_is_looked_at_before_the_body() -> None:
    head = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 4\r\nContent-Length: 100000\r\n\r\n"
    with listening(dripping(head, b" ")) as server, EventsClient(server.url, TOKEN) as client:
        started = time.monotonic()
        error = failed(client)
        assert time.monotonic() - started < 5
    assert (error.code, getattr(error, "retry_after", None)) == ("503", 4.0)


# No connection


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with EventsClient("https://events.1password.com", TOKEN) as client:
        error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "dns")
    assert "The name events.1password.com could not be resolved. Check base_url" in str(error)


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with EventsClient(f"http://127.0.0.1:{port}", TOKEN) as client:
        error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "connect")
    assert "127.0.0.1 refused the connection. Check base_url" in str(error)


def test_a_server_that_hangs_up() -> None:
    with listening(lambda connection, _: connection.close()) as server, EventsClient(server.url, TOKEN) as client:
        assert failed(client).code == "reset"


def test_a_server_that_speaks_something_else() -> None:
    with listening(then_closed(b"SSH-2.0-x\r\n")) as server, EventsClient(server.url, TOKEN) as client:
        assert failed(client).code == "reset"


# TLS

SERVER_KEY, AUTHORITY_KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
NOW = datetime.now(UTC)


def certificate(
    of: str, key: ec.EllipticCurvePrivateKey, by: str, names: list[x509.GeneralName], days: int = 1
) -> x509.Certificate:
    """Valid from ten days ago for `days` from now; `by` and `key` are who signs. Without names, of an authority."""
    owned = SERVER_KEY if names else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, of)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, by)]))
        .public_key(owned.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(owned.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if names:
        return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    signs = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False)
    signs |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(**signs, key_cert_sign=True, crl_sign=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


AUTHORITY = certificate("authority", AUTHORITY_KEY, "authority", [])
HERE: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


ELSEWHERE: list[x509.GeneralName] = [x509.DNSName("events.example")]


def serving(path: Path, shown: x509.Certificate) -> ssl.SSLContext:
    key = SERVER_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (path / "server.pem").write_bytes(key + shown.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path / "server.pem")
    return context


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_of_a_trusted_authority_is_taken(tmp_path: Path, host: str) -> None:
    tls = serving(tmp_path, certificate("server", AUTHORITY_KEY, "authority", HERE))
    with listening(always(page_answer()), tls, host) as server, EventsClient(server.url, TOKEN) as client:
        assert client.first_page(Api.AUDIT, START_NS).events
    assert f"Bearer {TOKEN}".encode() in server.requests[0]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (certificate("server", AUTHORITY_KEY, "authority", ELSEWHERE), "Hostname mismatch"),
        (certificate("server", AUTHORITY_KEY, "authority", HERE, days=-1), "certificate has expired"),
        (certificate("server", SERVER_KEY, "server", HERE), "self-signed certificate"),
        (certificate("server", OTHER_KEY, "a proxy", HERE), "unable to get local issuer certificate"),
    ],
    ids=["wrong name", "expired", "self-signed", "unknown authority"],
)
def test_a_certificate_that_is_refused(tmp_path: Path, shown: x509.Certificate, text: str) -> None:
    with (
        listening(always(page_answer()), serving(tmp_path, shown), "localhost") as server,
        EventsClient(server.url, TOKEN) as client,
    ):
        error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "tls")
    assert f"The certificate of localhost was refused: {text}" in str(error)
    assert "Nothing was sent" in str(error)
    assert "where a proxy inspects TLS, set SSL_CERT_FILE" in str(error)
    assert server.requests == []


def test_a_server_without_tls_where_it_should_be() -> None:
    with listening(then_closed(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        with EventsClient(server.url.replace("http:", "https:"), TOKEN) as client:
            error = failed(client)
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
            error = failed(client)
    assert (type(error), error.code) == (ThirdPartyGenericError, "proxy")
    assert "Check HTTPS_PROXY" in str(error)
    assert proxy.requests[0].startswith(b"CONNECT events.1password.com:443 ")
    assert TOKEN.encode() not in proxy.requests[0]


def test_a_proxy_that_drips_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(dripping(b"HTTP/1.1 200 ", b"x")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with EventsClient("https://events.1password.com", TOKEN, deadline=0.15) as client:
            assert "took longer than 0.15 seconds" in str(failed(client))


@pytest.mark.parametrize(
    ("name", "value"),
    [("SSL_CERT_FILE", "/nowhere/authority.pem"), ("SSL_CERT_FILE", __file__), ("HTTPS_PROXY", "gopher://user:pass@x")],
)
def test_an_environment_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ThirdPartyConfigError, match=f"Check .*{name}") as raised:
        EventsClient("https://events.1password.com", TOKEN)
    assert raised.value.code == "environment"
    assert "pass" not in str(raised.value)


# The token


@pytest.mark.parametrize(
    "base_url", ["https://evil.example", "http://events.1password.com", "events.1password.com", "https://u@x/"]
)
def test_a_host_that_is_not_allowed_gets_no_client(base_url: str) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        EventsClient(base_url, TOKEN)
    assert raised.value.code == "base-url"


@pytest.mark.parametrize("token", ["", "pasted twice", "with a line end\n", "geheim-é"])
def test_a_token_that_is_none_gets_no_client(token: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="Copy it again") as raised:
        EventsClient("http://127.0.0.1:9", token)
    assert not token or token not in _shown(raised.value)


def test_a_client_shows_no_token_and_is_not_pickled(client: EventsClient, sandbox: SandboxProcess) -> None:
    assert repr(client) == f"EventsClient('{sandbox.base_url}', api_version='v2')"
    assert sandbox.token not in f"{client} {client!r} {client._http.headers!r}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="holds a token"):
            pickle.dumps([client], protocol)


ECHOES = ['{"message":"bad token %s"}', '{"Error":{"Message":"%s"}}', "%s is unknown", "x" * 190 + "%s", "<p>%s</p>"]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 418, 429, 500])
def test_no_error_holds_the_token_even_where_the_server_repeats_it(
    sandbox: SandboxProcess, status: int, echo: str
) -> None:
    sandbox.fault("body", status=status, body="" if status == 204 else echo % sandbox.token)
    errors = []
    with opened(sandbox) as client:
        for ask in (
            client.introspect,
            lambda: client.first_page(Api.AUDIT, 0),
            lambda: client.next_page(Api.AUDIT, "c"),
        ):
            with pytest.raises(SourceError) as raised:
                ask()
            errors.append(raised.value)
    for error in errors:
        assert sandbox.token[:20] not in _shown(error)


@pytest.mark.parametrize("kind", ["stall", "reset", "truncated"])
def test_no_error_of_a_broken_connection_holds_the_token(sandbox: SandboxProcess, kind: str) -> None:
    sandbox.fault(kind)
    with opened(sandbox, timeout=QUICK) as client:
        assert sandbox.token[:20] not in _shown(failed(client))


def _shown(error: BaseException) -> str:
    """Everything that may be logged, stored or pickled of an error, and of those it arose from."""
    seen = [repr(error), str(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))]
    for before in (error.__cause__, error.__context__):
        if before is not None:
            seen += [repr(before), str(before), repr(before.args)]
    return "\n".join(seen)
