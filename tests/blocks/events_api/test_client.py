"""The client against the sandbox: what it asks, what comes back, every fault, and who never sees the token."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.clients import EVENTS, QUICK, START_NS, TOKEN, bodies, drain, failure_of, open_client
from support.raw_server import always, listening, page_answer

from blocks.errors import (
    CursorRejectedError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
    UnconfirmedError,
)
from blocks.events_api.client import DEADLINE, PAGE_SIZE, TIMEOUT, EventsClient
from blocks.events_api.models import Api, Page
from deployments.sandbox.faults import KINDS
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess


pytestmark = pytest.mark.usefixtures("one_authority")


# Requests


def test_introspection_returns_the_scopes_and_the_account(client: EventsClient, sandbox: SandboxProcess) -> None:
    found = client.introspect()
    truth = sandbox.introspect().json()
    assert (found.uuid, found.account_uuid) == (truth["uuid"], truth["account_uuid"])
    assert all(found.allows(api) for api in Api)
    assert sandbox.requests()["endpoints"].keys() == {"GET /api/v2/auth/introspect"}


def test_introspection_falls_back_to_v1(client: EventsClient, sandbox: SandboxProcess) -> None:
    sandbox.fault("404", api="introspect", version=2)
    found = client.introspect()
    assert found.account_uuid is None
    assert found.uuid == sandbox.introspect(1).json()["UUID"]
    assert found.scopes == {api.path for api in Api}


def test_introspection_knows_a_token_with_one_scope(sandbox: SandboxProcess) -> None:
    with open_client(sandbox, token=sandbox.issue_token(["itemusages"])) as client:
        assert [api for api in Api if client.introspect().allows(api)] == [Api.ITEM_USAGE]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_the_first_request_has_a_start_and_the_others_a_cursor_alone(
    sandbox: SandboxProcess, api: Api, version: str
) -> None:
    with open_client(sandbox, api_version=version) as client:
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


def test_a_request_names_the_program_and_the_encoding_it_accepts(client: EventsClient, sandbox: SandboxProcess) -> None:
    client.introspect()
    request = sandbox.requests()["last"][0]
    assert request["user_agent"] == f"onepassword-source/{importlib.metadata.version('onepassword-source')}"
    assert request["accept_encoding"] == "gzip"
    assert PAGE_SIZE == 1000


def test_requests_share_a_connection() -> None:
    with listening(always(page_answer())) as server, EventsClient(server.url, TOKEN) as client:
        for _ in range(3):
            client.first_page(Api.AUDIT, START_NS)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_threads_share_a_client(sandbox: SandboxProcess) -> None:
    found: dict[Api, list[bytes]] = {}
    with open_client(sandbox) as client:

        def read(api: Api) -> None:
            found[api] = bodies(drain(client, api, limit=7))

        threads = [threading.Thread(target=read, args=(api,)) for api in Api]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {api: sandbox.events(api.path) for api in Api}


# What comes back


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_every_event_is_read_once_byte_for_byte(sandbox: SandboxProcess, api: Api, version: str) -> None:
    with open_client(sandbox, api_version=version) as client:
        whole, small = drain(client, api), drain(client, api, limit=20)
    assert bodies(whole) == bodies(small) == sandbox.events(api.path, version)
    assert [len(page.events) for page in small] == [20, 20, 20, 20, 10]
    assert all(event.uuid == json.loads(event.body)["uuid"] for event in whole[0].events)


def test_a_compressed_page_is_the_same_page(sandbox: SandboxProcess) -> None:
    first = {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}
    assert sandbox.post("auditevents", first).headers["content-encoding"] == "gzip"  # the default
    with running_sandbox(events=30, gzip=False) as plain, open_client(plain) as client:
        assert "content-encoding" not in plain.post("auditevents", first).headers
        assert bodies(drain(client)) == plain.events("auditevents")


def test_the_cursor_at_the_end_of_a_stream_is_polled_until_an_event_arrives(
    client: EventsClient, sandbox: SandboxProcess
) -> None:
    end = drain(client, Api.SIGN_IN)[-1]
    assert client.next_page(Api.SIGN_IN, end.cursor) == Page(end.cursor, has_more=False, events=[], invalid_items=[])
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
    "401": "answered 401: Unauthorized for audit. The source checks the token by introspection",
    "403": "answered 403: Forbidden for audit. The source checks the token by introspection",
    "404": "answered 404: 404 page not found for audit. The source checks the token by introspection",
    "429": "too many requests in this minute or hour. Reading goes on by itself.",
    "500": "answered 500. The request is retried.",
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
    tried = [*STATUSES, *BROKEN, *HARMLESS, *ENDLESS, *POISON, "rejected_cursor", "omitted"]  # reconcile's to find
    assert sorted(tried) == sorted(KINDS)


@pytest.mark.parametrize(("kind", "error_type"), STATUSES.items())
def test_a_status_is_one_error(
    client: EventsClient, sandbox: SandboxProcess, kind: str, error_type: type[SourceError]
) -> None:
    sandbox.fault(kind)
    error = failure_of(client)
    assert type(error) is error_type
    assert (error.code, TEXTS.get(kind, f"answered {kind}. The request is retried.") in str(error)) == (kind, True)
    sandbox.clear_faults()
    assert client.first_page(Api.AUDIT, START_NS).events


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_message_of_the_server_is_reported_in_both_forms(sandbox: SandboxProcess, version: str) -> None:
    with open_client(sandbox, api_version=version) as client:
        assert "(400" in str(failure_of(client, cursor="not-a-cursor"))
        sandbox.fault("403", form=version)
        assert "403: Forbidden" in str(failure_of(client))


def test_a_400_to_a_cursor_is_of_its_own_kind(client: EventsClient, sandbox: SandboxProcess) -> None:
    cursor = client.first_page(Api.AUDIT, START_NS).cursor
    sandbox.fault("rejected_cursor")
    error = failure_of(client, cursor)
    assert type(error) is CursorRejectedError
    assert (error.code, "48 hours" in str(error)) == ("400", True)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_one_error(sandbox: SandboxProcess, kind: str) -> None:
    options, error_type, code, text = BROKEN[kind]
    sandbox.fault(kind, api="auditevents", **options)
    with open_client(sandbox, timeout=QUICK if kind == "stall" else httpx.Timeout(10), response_max=200_000) as client:
        error = failure_of(client)
        assert type(error) is error_type
        assert (error.code, text in str(error)) == (code, True), str(error)
        assert error.hint
        sandbox.clear_faults()
        assert client.first_page(Api.AUDIT, START_NS, limit=5).events


@pytest.mark.parametrize("after_headers", [False, True])
@pytest.mark.parametrize("limit", [{"timeout": QUICK}, {"deadline": 0.1}], ids=["timeout", "deadline"])
def test_a_stall_ends_in_time(sandbox: SandboxProcess, limit: dict[str, Any], after_headers: bool) -> None:
    sandbox.fault("stall", after_headers=after_headers)
    with open_client(sandbox, **limit) as client:
        started = time.monotonic()
        error = failure_of(client)
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
    pages = drain(client)
    assert set(bodies(pages)) == set(sandbox.events("auditevents"))
    assert not any(page.invalid_items for page in pages)


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
    assert len(page.invalid_items) == EVENTS // 5
    assert [one.body for one in page.invalid_items] == truth[::5]
    assert bodies([page]) == [body for number, body in enumerate(truth) if number % 5]
    assert {one.reason for one in page.invalid_items} >= reasons


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
        with open_client(sandbox, token=token) as client:
            with pytest.raises(ThirdPartyConfigError) as raised:
                client.introspect()
            assert raised.value.code == code
            assert type(failure_of(client)) is UnconfirmedError


# Retry-After


@pytest.mark.parametrize("kind", ["429", "503"])
def test_the_servers_wish_to_wait(client: EventsClient, sandbox: SandboxProcess, kind: str) -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    waits = []
    for wish in (7, in_a_minute, "soon"):
        sandbox.fault(kind, retry_after=wish, times=1)
        error = failure_of(client)
        assert isinstance(error, ThirdPartyGenericError)
        waits.append(error.retry_after)
    assert waits == [7.0, pytest.approx(55, abs=5), None]


def test_the_rate_window_of_the_sandbox_is_a_429(client: EventsClient, sandbox: SandboxProcess) -> None:
    sandbox.rates((1, 60))
    try:
        client.first_page(Api.AUDIT, START_NS)
        assert failure_of(client).code == "429"
    finally:
        sandbox.rates()


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
    assert sandbox.token not in f"{client} {client!r} {client._http!r}"
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
    with open_client(sandbox) as client:
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
    with open_client(sandbox, timeout=QUICK) as client:
        assert sandbox.token[:20] not in _shown(failure_of(client))


def _shown(error: BaseException) -> str:
    """Everything that may be logged, stored or pickled of an error, and of those it arose from."""
    seen = [repr(error), str(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))]
    for before in (error.__cause__, error.__context__):
        if before is not None:
            seen += [repr(before), str(before), repr(before.args)]
    return "\n".join(seen)
