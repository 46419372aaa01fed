"""The sandbox in a process of its own, as a test uses it: its command line, what each call requests, its end."""

from __future__ import annotations

import io
import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from blocks import python_process
from deployments.sandbox import process
from deployments.sandbox.process import STOP_SECONDS, SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "http://127.0.0.1:8080"


class Started:
    """A process that prints this line, and ends when it is terminated, or only when it is killed."""

    def __init__(self, line: bytes, *, stubborn: bool = False) -> None:
        self.stdout = io.BytesIO(line)
        self.pid = 4711
        self.command: list[str] = []
        self.ended: list[object] = []
        self._stubborn = stubborn

    def terminate(self) -> None:
        self.ended.append("terminate")

    def wait(self, seconds: float) -> int:
        self.ended.append(seconds)
        if self._stubborn:
            raise subprocess.TimeoutExpired(self.command, seconds)
        return 0

    def kill(self) -> None:
        self.ended.append("kill")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Started], Started]:
    """Have `running_sandbox` start this process."""

    def use(started: Started) -> Started:
        @contextmanager
        def popen(command: list[str], *, stdin: int, stdout: int) -> Iterator[Started]:
            assert (stdin, stdout) == (subprocess.PIPE, subprocess.PIPE)
            started.command = command
            yield started
            started.ended.append("closed")

        monkeypatch.setattr(process.subprocess, "Popen", popen)
        return started

    return use


LINE = json.dumps({"base_url": URL, "token": "t.o.ken"}).encode() + b"\n"


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, []),
        ({"events": 100, "seed": 7, "days": 0.5, "until": "2026-01-01T00:00:00Z"},
         ["--events=100", "--seed=7", "--days=0.5", "--until=2026-01-01T00:00:00Z"]),
        ({"events": 0, "until": None}, ["--events=0"]),
        ({"bulk": True, "gzip": False}, ["--bulk", "--no-gzip"]),
        ({"faults": [{"kind": "500"}, {"kind": "429", "times": 1}]},
         ["--fault", '{"kind": "500"}', "--fault", '{"kind": "429", "times": 1}']),
        ({"rate_windows": [(600, 60), (5, 0.5)]}, ["--rate-window", "600/60", "--rate-window", "5/0.5"]),
    ],
)  # fmt: skip
def test_options_become_flags(start: Callable[[Started], Started], options: dict[str, Any], flags: list[str]) -> None:
    started = start(Started(LINE))
    with running_sandbox("--json", **options) as sandbox:
        assert (sandbox.base_url, sandbox.token, sandbox.pid) == (URL, "t.o.ken", 4711)
        assert started.ended == []
    assert started.command == python_process.command("deployments.sandbox", "--stop-with-stdin", *flags, "--json")
    assert started.ended == ["terminate", STOP_SECONDS, "closed"]


def test_a_process_that_does_not_end_is_killed(start: Callable[[Started], Started]) -> None:
    started = start(Started(LINE, stubborn=True))
    with running_sandbox():
        pass
    assert started.ended == ["terminate", STOP_SECONDS, "kill", "closed"]


def test_the_process_ends_after_an_error_of_the_test(start: Callable[[Started], Started]) -> None:
    started = start(Started(LINE))
    with pytest.raises(ZeroDivisionError), running_sandbox():
        raise ZeroDivisionError
    assert started.ended == ["terminate", STOP_SECONDS]


def test_a_process_that_prints_nothing_has_not_started(start: Callable[[Started], Started]) -> None:
    started = start(Started(b""))
    with pytest.raises(RuntimeError, match=r"^The sandbox did not start; its standard error says why\.$"):
        running_sandbox().__enter__()
    assert started.ended == ["terminate", STOP_SECONDS]


def test_the_token_is_not_shown() -> None:
    with httpx.Client() as http:
        assert "t.o.ken" not in repr(SandboxProcess(URL, "t.o.ken", 1, http))


class Answers:
    """The HTTP side of a sandbox: it records one request, and answers it."""

    def __init__(self, status: int = 200, content: bytes = b"{}") -> None:
        self._answer = (status, content)
        self.request: httpx.Request

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        return httpx.Response(self._answer[0], content=self._answer[1])

    @property
    def seen(self) -> tuple[str, str, bytes]:
        return self.request.method, self.request.url.raw_path.decode(), self.request.content


def requested(
    call: Callable[[SandboxProcess], object], content: bytes = b"{}", status: int = 200
) -> tuple[Answers, Any]:
    answers = Answers(status, content)
    with httpx.Client(base_url=URL, transport=httpx.MockTransport(answers)) as http:
        returned = call(SandboxProcess(URL, "t.o.ken", 1, http))
    return answers, returned


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda one: one.clear_faults(), "DELETE", "faults", None),
        (lambda one: one.append("auditevents", b'{ "a":1}'), "POST", "events/auditevents", b'{ "a":1}'),
        (lambda one: one.append("auditevents", b""), "POST", "events/auditevents", b""),
        (lambda one: one.arrive("itemusages"), "POST", "events/itemusages?count=1", None),
        (lambda one: one.arrive("itemusages", 3, late=0.5), "POST", "events/itemusages?count=3&late=0.5", None),
        (lambda one: one.arrive("itemusages", late=0), "POST", "events/itemusages?count=1&late=0", None),
        (lambda one: one.clear_requests(), "DELETE", "requests", None),
        (lambda one: one.revoke("a.b.c"), "DELETE", "tokens", b'{"token": "a.b.c"}'),
        (lambda one: one.rates((5, 1.0), (9, 60)), "POST", "rates", b'{"windows": [[5, 1.0], [9, 60]]}'),
        (lambda one: one.rates(), "POST", "rates", b'{"windows": []}'),
        (lambda one: one.advance(1.5), "POST", "clock", b'{"advance": 1.5}'),
    ],
)
def test_a_call_controls_the_sandbox(
    call: Callable[[SandboxProcess], object], method: str, path: str, body: bytes | None
) -> None:
    answers, returned = requested(call)
    assert answers.seen == (method, f"/_sandbox/{path}", body or b"")
    assert returned is None


def test_a_fault_is_added_with_its_options() -> None:
    answers, returned = requested(
        lambda one: one.fault("429", api="auditevents", times=2, retry_after=1), b'{"id": 12}'
    )
    assert returned == 12
    assert answers.seen[:2] == ("POST", "/_sandbox/faults")
    fault = {"kind": "429", "api": "auditevents", "times": 2, "retry_after": 1}
    assert json.loads(answers.request.content) == fault
    answers, _ = requested(lambda one: one.fault("500"), b'{"id": 1}')
    assert json.loads(answers.request.content) == {"kind": "500", "api": None, "times": None}


def test_faults_and_requests_are_read() -> None:
    answers, returned = requested(lambda one: one.faults(), b'[{"kind": "500"}]')
    assert (answers.seen, returned) == (("GET", "/_sandbox/faults", b""), [{"kind": "500"}])
    answers, returned = requested(lambda one: one.requests(), b'{"total": 3}')
    assert (answers.seen, returned) == (("GET", "/_sandbox/requests", b""), {"total": 3})


@pytest.mark.parametrize(
    ("framed", "bodies"),
    [
        (b"", []),
        (b"2:{}\n", [b"{}"]),
        (b"0:\n3:a\nb\n5:12:34\n", [b"", b"a\nb", b"12:34"]),
        (b"11:0123456789A\n1:B\n", [b"0123456789A", b"B"]),
    ],
)
def test_events_come_byte_for_byte_by_their_length(framed: bytes, bodies: list[bytes]) -> None:
    answers, returned = requested(lambda one: one.events("auditevents"), framed)
    assert answers.seen == ("GET", "/_sandbox/events/auditevents?version=2&framing=length", b"")
    assert returned == bodies


@pytest.mark.parametrize(
    ("members", "query"),
    [
        ({"version": 1}, "version=1&framing=length"),
        ({"version": "v1"}, "version=1&framing=length"),
        ({"start_time": "a"}, "version=2&framing=length&start_time=a"),
        ({"start_time": "a", "end_time": "b"}, "version=2&framing=length&start_time=a&end_time=b"),
    ],
)
def test_events_are_of_a_version_and_a_window(members: dict[str, Any], query: str) -> None:
    answers, _ = requested(lambda one: one.events("auditevents", **members), b"")
    assert answers.seen[1] == f"/_sandbox/events/auditevents?{query}"


@pytest.mark.parametrize(
    ("call", "path", "body", "token"),
    [
        (lambda one: one.post("auditevents", {"limit": 1}), "/api/v2/auditevents", b'{"limit": 1}', "t.o.ken"),
        (lambda one: one.post("auditevents", b"{", 1, "other"), "/api/v1/auditevents", b"{", "other"),
        (lambda one: one.introspect(), "/api/v2/auth/introspect", b"", "t.o.ken"),
        (lambda one: one.introspect(1, "other"), "/api/auth/introspect", b"", "other"),
    ],
)
def test_a_client_requests_with_the_token(
    call: Callable[[SandboxProcess], object], path: str, body: bytes, token: str
) -> None:
    answers, returned = requested(call, status=401)
    assert answers.seen == ("POST" if body else "GET", path, body)
    assert answers.request.headers["authorization"] == f"Bearer {token}"
    assert answers.request.headers.get("content-type") == ("application/json" if body else None)
    assert returned.status_code == 401, "an answer of the Events API is for the test to judge"


@pytest.mark.parametrize(
    ("members", "body"),
    [
        ({}, {}),
        ({"scopes": ("itemusages",)}, {"scopes": ["itemusages"]}),
        ({"scopes": ()}, {"scopes": []}),
        ({"expires_in": 5.0, "account": "A", "audience": "h"}, {"expires_in": 5.0, "account": "A", "audience": "h"}),
    ],
)
def test_a_token_is_issued(members: dict[str, Any], body: dict[str, Any]) -> None:
    answers, returned = requested(lambda one: one.issue_token(**members), b'{"token": "new"}')
    assert returned == "new"
    assert answers.seen[:2] == ("POST", "/_sandbox/tokens")
    assert json.loads(answers.request.content) == {"expires_in": None, "account": None, "audience": None, **body}


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_rejected_request_is_an_error_with_the_answer(status: int) -> None:
    with pytest.raises(ValueError, match=r"^The sandbox rejected the request: no such fault$"):
        requested(lambda one: one.clear_faults(), b"no such fault", status)
