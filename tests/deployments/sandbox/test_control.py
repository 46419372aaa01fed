"""What a test requests of the sandbox itself: its log, its rate windows, its clock, its start and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_THE_START = {"limit": 10, "start_time": "2020-01-01T00:00:00Z"}
COMMAND = [sys.executable, "-m", "deployments.sandbox"]


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(events=90) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    running.clear_requests()
    yield running
    running.rates()
    running.clear_faults()


def test_requests_are_counted_by_endpoint_shape_and_status(sandbox: SandboxProcess) -> None:
    cursor = sandbox.post("auditevents", FROM_THE_START).json()["cursor"]
    sandbox.post("auditevents", {"cursor": cursor})
    sandbox.post("auditevents", b"{")
    sandbox.introspect(1)
    sandbox.fault("reset", times=1)
    with pytest.raises(Exception, match="reset"):
        sandbox.post("itemusages", {})
    log = sandbox.requests()
    assert log["total"] == 5
    assert log["endpoints"] == {
        "POST /api/v2/auditevents": {"requests": 3, "first": 1, "cursor": 1, "unreadable": 1, "200": 2, "400": 1},
        "GET /api/auth/introspect": {"requests": 1, "introspect": 1, "200": 1},
        "POST /api/v2/itemusages": {"requests": 1, "first": 1, "reset": 1},
    }
    assert [entry["query"] for entry in log["last"]] == [FROM_THE_START, {"cursor": cursor}, None, None, {}]
    assert [entry["items"] for entry in log["last"]] == [10, 10, None, None, None]
    assert [entry["fault"] for entry in log["last"]] == [None] * 4 + ["reset"]
    assert log["last"][0]["user_agent"].startswith("python-httpx/")


def test_the_log_never_holds_the_token(sandbox: SandboxProcess) -> None:
    sandbox.post("auditevents", FROM_THE_START)
    sandbox.introspect()
    log = json.dumps(sandbox.requests())
    assert sandbox.token not in log
    assert sandbox.token.split(".")[2] not in log
    assert sandbox.token not in repr(sandbox)


def test_asking_the_sandbox_itself_is_not_logged(sandbox: SandboxProcess) -> None:
    sandbox.events("auditevents")
    sandbox.faults()
    assert sandbox.requests()["total"] == 0


def test_both_rate_windows_hold_side_by_side(sandbox: SandboxProcess) -> None:
    sandbox.rates((3, 60), (5, 3600))
    assert [sandbox.introspect().status_code for _ in range(4)] == [200, 200, 200, 429]
    assert sandbox.post("auditevents", {}, 1).json() == {"Error": {"Message": "Too Many Requests"}}
    sandbox.advance(61)
    assert [sandbox.introspect().status_code for _ in range(3)] == [200, 200, 429]
    sandbox.advance(61)
    assert sandbox.introspect().status_code == 429
    sandbox.advance(3600)
    assert sandbox.introspect().status_code == 200


def test_a_rate_window_slides(sandbox: SandboxProcess) -> None:
    sandbox.rates((2, 60))
    assert sandbox.introspect().status_code == 200
    sandbox.advance(40)
    assert sandbox.introspect().status_code == 200
    sandbox.advance(30)
    assert [sandbox.introspect().status_code for _ in range(2)] == [200, 429]


def test_rate_windows_are_shared_by_the_tokens_of_an_account(sandbox: SandboxProcess) -> None:
    sandbox.rates((2, 60))
    assert sandbox.introspect(token=sandbox.issue_token()).status_code == 200
    assert sandbox.introspect(token=sandbox.issue_token(["itemusages"])).status_code == 200
    assert sandbox.introspect().status_code == 429
    assert sandbox.introspect(token=sandbox.issue_token(account="ANOTHER")).status_code == 200


def test_there_are_no_rate_limits_by_default(sandbox: SandboxProcess) -> None:
    assert {sandbox.introspect().status_code for _ in range(601)} == {200}


def test_the_real_rate_limit_is_600_a_minute() -> None:
    with running_sandbox("--rate-limits", events=3) as sandbox:
        answers = [sandbox.introspect().status_code for _ in range(602)]
    assert answers == [200] * 600 + [429] * 2


def test_rate_windows_can_be_given_at_the_start() -> None:
    with running_sandbox(events=3, rate_windows=[(2, 60.0)]) as sandbox:
        assert [sandbox.introspect().status_code for _ in range(3)] == [200, 200, 429]


def test_a_token_expires_as_the_clock_moves_on(sandbox: SandboxProcess) -> None:
    token = sandbox.issue_token(expires_in=3600)
    assert sandbox.introspect(token=token).status_code == 200
    sandbox.advance(3601)
    assert sandbox.introspect(token=token).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "clock", "{}"),
        ("POST", "clock", "tomorrow"),
        ("POST", "clock", "[]"),
        ("POST", "rates", '{"windows": [[1]]}'),
        ("POST", "tokens", '{"scope": []}'),
        ("DELETE", "tokens", "{}"),
        ("POST", "events/audit", "{}"),
        ("POST", "events/auditevents?count=few", ""),
        ("GET", "events/audit", ""),
        ("GET", "events/auditevents?start_time=noon", ""),
        ("GET", "events/auditevents?version=3", ""),
    ],
)
def test_a_wrong_wish_is_explained(sandbox: SandboxProcess, method: str, path: str, body: str) -> None:
    answer = sandbox._http.request(method, f"/_sandbox/{path}", content=body)
    assert answer.status_code == 400
    assert answer.text.startswith("This request cannot be understood: ")


@pytest.mark.parametrize("bulk", [False, True])
def test_the_served_events_are_those_of_a_window_as_lines_too(*, bulk: bool) -> None:
    window = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-02T00:00:00Z"}
    with running_sandbox(events=3000, until="2026-03-04T05:06:07Z", bulk=bulk) as sandbox:
        everything, inside = sandbox.events("auditevents"), sandbox.events("auditevents", **window)
        assert [b for b in everything if json.loads(b)["timestamp"].startswith("2026-03-01")] == inside
        assert 0 < len(inside) < len(everything) == 1000
        assert sandbox.post("auditevents", {"limit": 1000, **window}).json()["items"] == [json.loads(b) for b in inside]
        lines = sandbox._http.get("/_sandbox/events/auditevents?version=1").content
        assert lines.splitlines() == sandbox.events("auditevents", 1)


def test_what_arrives_is_served_after_the_cursor_as_it_was_appended() -> None:
    raw = b'{ "timestamp" : "2021-05-05T00:00:00Z",\n"note": "a\\u0000b \xc3\xa9" , "uuid":"A", "n": 1.0e2}'
    with running_sandbox(events=30, rate=2) as sandbox:
        cursor = sandbox.post("auditevents", {**FROM_THE_START, "limit": 1000}).json()["cursor"]
        sandbox.append("auditevents", raw)
        sandbox.append("auditevents", b'{"uuid":"B","timestamp":"never"}')
        sandbox.arrive("auditevents", 2, late=3600)
        sandbox.advance(150)
        page = sandbox.post("auditevents", {"cursor": cursor})
        assert b'"items":[' + raw + b',{"uuid":"B","timestamp":"never"},' in page.content
        assert len(page.json()["items"]) == 2 + 2 + 5
        of_2021 = {"start_time": "2021-01-01T00:00:00Z", "end_time": "2022-01-01T00:00:00Z"}
        assert [event["uuid"] for event in sandbox.post("auditevents", of_2021).json()["items"]] == ["A"]


def test_a_rejected_request_is_raised_in_the_test(sandbox: SandboxProcess) -> None:
    with pytest.raises(ValueError, match="there is no fault 'flood'"):
        sandbox.fault("flood")


def test_a_started_sandbox_prints_one_line_and_listens_on_loopback_only() -> None:
    with subprocess.Popen([*COMMAND, "--events", "3"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started.keys() == {"base_url", "token"}
        host, port = started["base_url"].removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        socket.create_connection((host, int(port))).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(port)), timeout=5)
        process.terminate()
        assert process.stdout.read() == b""


def test_it_ends_when_standard_input_does() -> None:
    command = [*COMMAND, "--events", "3", "--stop-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(10) == 0


def test_ctrl_c_ends_it_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([*COMMAND, "--events", "3"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [*COMMAND, "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    expected = f"Port {port} cannot be used (Address already in use). Choose another, or 0 for a free one.\n"
    assert ended.stderr.endswith(expected)
    assert ended.stderr.count("\n") == 1


@pytest.mark.processes
@pytest.mark.parametrize(
    "flag", ["--until=noon", "--events=-1", "--days=0", "--rate=-1", "--fault={", "--rate-window=5"]
)
def test_a_wrong_flag_is_explained(flag: str) -> None:
    ended = subprocess.run([*COMMAND, flag], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert flag.removeprefix("--").split("=")[0] in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.processes
def test_it_needs_none_of_the_floors_above() -> None:
    probe = "import sys, deployments.sandbox.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not {"prefect", "sqlmodel", "sqlalchemy", "pydantic", "httpx"} & set(loaded)
