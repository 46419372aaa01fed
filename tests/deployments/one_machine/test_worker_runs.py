"""What `up` does with runs whose processes are gone, and with a server that does not take it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from support import raw_server

from deployments.bounded_call import call_until
from deployments.one_machine import worker_runs

if TYPE_CHECKING:
    import socket
    from pathlib import Path

RUNS = [
    {"id": "one", "state_type": "RUNNING"},
    {"id": "two", "state_type": "PENDING"},
    {"id": "three", "state_type": "CANCELLING"},
]


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))


def _answering(workers: list[str]) -> tuple[raw_server.Answer, list[raw_server.Server]]:
    """An answer to each request: the workers that are online, or the runs that are under way."""
    serving: list[raw_server.Server] = []

    def answer(connection: socket.socket, _over: object) -> None:
        of_workers = b"/workers/filter " in serving[0].requests[-1].split(b"\r\n")[0]
        found = [{"name": name} for name in workers] if of_workers else RUNS
        connection.sendall(raw_server.answered(json.dumps(found).encode()))

    return answer, serving


def _states(server: raw_server.Server) -> dict[str, str]:
    found = {}
    for request in server.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        if b"/set_state " in head.split(b"\r\n")[0]:
            found[head.split(b"/")[2].decode()] = json.loads(body)["state"]["type"]
    return found


def test_each_run_gets_its_final_state_and_one_that_was_being_cancelled_that() -> None:
    answer, serving = _answering(["up"])
    with raw_server.listening(answer) as server:
        serving.append(server)
        assert worker_runs.end_crashed(server.url, 10)
    assert _states(server) == {"one": "CRASHED", "two": "CRASHED", "three": "CANCELLED"}
    assert b"/work_pools/onepassword-source/workers/filter" in server.requests[0], "those of our own pool"


def test_where_another_machine_has_a_worker_no_run_is_ended_that_may_be_its_own() -> None:
    answer, serving = _answering(["up", "machine two"])
    with raw_server.listening(answer) as server:
        serving.append(server)
        assert worker_runs.end_crashed(server.url, 10)
    assert _states(server) == {}


def test_what_a_server_rejects_or_does_not_answer_is_left_to_the_next_up() -> None:
    def refuse(connection: socket.socket, _over: object) -> None:
        connection.sendall(raw_server.answered(b"locked", b"500 Internal Server Error"))

    with raw_server.listening(refuse) as server:
        assert not worker_runs.end_stopped(server.url, 10)
    assert not worker_runs.end_stopped("http://127.0.0.1:9/api", 10)


def test_a_step_that_hangs_is_left_where_a_person_requests_it() -> None:
    timeouts: list[float] = []

    def is_over() -> bool:
        timeouts.append(time.monotonic())
        return len(timeouts) > 3

    assert call_until(lambda: time.sleep(600), is_over) is None
    assert call_until(lambda: 42, lambda: False) == 42
    assert call_until(lambda: time.sleep(600), lambda: False, 0.1) is None
    with pytest.raises(ZeroDivisionError):
        call_until(lambda: 1 / 0, lambda: False)
