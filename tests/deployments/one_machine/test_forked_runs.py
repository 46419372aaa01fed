"""The worker's side of the fork server: what it writes, what it makes of each answer, and when it starts another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from deployments.one_machine import forked_runs
from deployments.one_machine.forked_runs import (
    UNKNOWN_CODE,
    ForkedProcess,
    ForkedRun,
    ForkServerEndedError,
    ForkServerProcess,
    RunForker,
    can_fork,
    fork_server_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path


class Killed:
    """Records signals to processes, in place of sending them. Process 404 has ended."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.ends: asyncio.Future[int] | None = None
        """The exit code of a run, which a signal ends."""

    def __call__(self, pid: int, number: int) -> None:
        if pid == 404:
            raise ProcessLookupError
        self.sent.append((pid, number))
        if self.ends is not None:
            asyncio.get_running_loop().call_soon(self.ends.set_result, -number)  # not before the sender goes on


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Killed:
    own = Killed()
    monkeypatch.setattr(forked_runs.os, "kill", own)
    return own


class Ending:
    """The process of a fork server, which ends when the test says so."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.done: list[str] = []

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.done.append("kill")

    def wait(self) -> int:
        self.done.append("wait")
        self.code = -9
        return self.code


class Other:
    """The other end of the connection: a fork server by hand."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(sock=self._connection)

    async def request(self) -> dict[str, Any]:
        return dict(json.loads(await self._reader.readline()))

    def answer(self, **message: object) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def is_left(self) -> bool:
        """Whether the other end of the connection is closed."""
        return await self._reader.read() == b""


def with_server(test: Callable[[ForkServerProcess, Other, Ending], Coroutine[Any, Any, None]]) -> None:
    """Run the test with a fork server, the other end of its connection, and its process."""

    async def connected() -> None:
        ours, theirs = socket.socketpair()
        process, other = Ending(), Other(theirs)
        server = ForkServerProcess(ours, process)
        await other.open()
        await asyncio.wait_for(test(server, other, process), 60)
        server.close()
        await other.close()
        await asyncio.sleep(0)  # the transports close in the next turn of the loop
        await asyncio.sleep(0)

    asyncio.run(connected())


async def begun(server: ForkServerProcess, other: Other, run: str = "a", pid: int = 4711) -> ForkedRun:
    """A run that the server has forked."""
    forking = asyncio.ensure_future(server.fork(run, {}, forked_runs.ROOT))
    assert (await other.request())["run"] == run
    other.answer(run=run, pid=pid)
    return await forking


def test_a_run_is_requested_with_its_environment_and_directory(tmp_path: Path) -> None:
    async def test(server: ForkServerProcess, other: Other, _process: Ending) -> None:
        forking = asyncio.ensure_future(server.fork("a", {"TOKEN": "x\ny"}, tmp_path, [{"id": "1"}]))
        request = await other.request()
        assert request == {"run": "a", "env": {"TOKEN": "x\ny"}, "cwd": str(tmp_path), "related": [{"id": "1"}]}
        assert not forking.done()
        other.answer(run="a", pid=4711)
        run = await forking
        assert (run.pid, run.has_ended) == (4711, False)
        other.answer(run="a", code=3)
        assert await run.wait() == 3
        assert run.has_ended

    with_server(test)


def test_runs_share_one_connection_and_end_in_any_order() -> None:
    async def test(server: ForkServerProcess, other: Other, _process: Ending) -> None:
        forking = [asyncio.ensure_future(server.fork(name, {}, forked_runs.ROOT)) for name in "abc"]
        assert {(await other.request())["run"] for _ in forking} == {"a", "b", "c"}
        for pid, name in enumerate("cab", 1):
            other.answer(run=name, pid=pid)
        runs = [await one for one in forking]
        assert [run.pid for run in runs] == [2, 3, 1]
        other.answer(run="b", code=-9)
        assert await runs[1].wait() == -9
        assert [run.has_ended for run in runs] == [False, True, False]
        other.answer(run="a", code=0)
        other.answer(run="c", code=1)
        assert [await run.wait() for run in runs] == [0, -9, 1]

    with_server(test)


def test_runs_of_a_server_that_ends_are_killed_and_have_a_code(killed: Killed) -> None:
    async def test(server: ForkServerProcess, other: Other, _process: Ending) -> None:
        alive = await begun(server, other, "a", 5)
        gone = await begun(server, other, "b", 404)
        ended = await begun(server, other, "c", 7)
        other.answer(run="c", code=0)
        assert await ended.wait() == 0
        pending = asyncio.ensure_future(server.fork("d", {}, forked_runs.ROOT))
        await other.request()
        assert server.is_alive
        await other.close()
        with pytest.raises(ForkServerEndedError):
            await pending
        assert [await alive.wait(), await gone.wait()] == [UNKNOWN_CODE] * 2
        assert killed.sent == [(5, signal.SIGKILL)], "an ended run's number may be another's"
        assert not server.is_alive, "its answers are no longer read"
        assert not server.has_ended

    with_server(test)


def test_a_server_that_is_gone_forks_nothing() -> None:
    async def test(server: ForkServerProcess, other: Other, _process: Ending) -> None:
        await begun(server, other)
        assert server._writer is not None

        def write(_line: bytes) -> None:
            raise BrokenPipeError

        server._writer.write = write  # type: ignore[assignment,method-assign]
        with pytest.raises(ForkServerEndedError):
            await server.fork("b", {}, forked_runs.ROOT)
        assert (server._pids.keys(), server._codes.keys()) == (set(), {"a"})

    with_server(test)


def test_a_server_is_alive_until_its_process_ends() -> None:
    async def test(server: ForkServerProcess, other: Other, process: Ending) -> None:
        assert (server.is_alive, server.has_ended) == (True, False)
        await begun(server, other)
        assert server.is_alive
        process.code = 0
        assert (server.is_alive, server.has_ended) == (False, True)

    with_server(test)


def test_a_server_that_was_used_retires_when_its_runs_have_ended() -> None:
    async def test(server: ForkServerProcess, other: Other, process: Ending) -> None:
        run = await begun(server, other)
        server.retire()
        assert await other.request() == {"retire": True}
        other.answer(run="a", code=0)
        assert await run.wait() == 0
        assert process.done == []

    with_server(test)


def test_a_server_that_was_never_used_retires_at_once() -> None:
    async def test(server: ForkServerProcess, other: Other, process: Ending) -> None:
        server.retire()
        assert await other.is_left()
        assert process.done == []

    with_server(test)


def test_a_closed_server_is_killed_with_its_connection() -> None:
    async def test(server: ForkServerProcess, other: Other, process: Ending) -> None:
        await begun(server, other)
        server.close()
        assert process.done == ["kill", "wait"]
        assert await other.is_left()

    with_server(test)


def run_with(code: int | None, pid: int = 4711) -> ForkedRun:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    if code is not None:
        future.set_result(code)
    return ForkedRun(pid, future)


def test_a_run_that_ends_in_time_is_not_killed(killed: Killed) -> None:
    async def stop() -> int:
        run = run_with(None)
        killed.ends = run._code
        await run.stop(60)
        return await run.wait()

    assert asyncio.run(stop()) == -15
    assert killed.sent == [(4711, signal.SIGTERM)]


def test_a_run_that_does_not_end_is_killed_and_can_still_be_waited_for(killed: Killed) -> None:
    async def stop() -> int:
        run = run_with(None)
        await run.stop(0.01)
        run._code.set_result(-9)
        return await run.wait()

    assert asyncio.run(stop()) == -9
    assert killed.sent == [(4711, signal.SIGTERM), (4711, signal.SIGKILL)]


def test_a_run_that_has_ended_gets_no_signal(killed: Killed) -> None:
    async def send() -> None:
        run_with(0).signal(signal.SIGKILL)
        await run_with(0).stop(60)
        run_with(None, 404).signal(signal.SIGKILL)  # it ended, and the server has not said so yet

    asyncio.run(send())
    assert killed.sent == []


def spawned(script: str) -> ForkedProcess:
    return ForkedProcess(os.posix_spawn("/bin/sh", ["sh", "-c", script], {}))


def test_a_process_has_the_code_it_ended_with() -> None:
    process = spawned("exit 3")
    assert process.wait() == 3
    assert (process.poll(), process.wait()) == (3, 3), "a child is waited for once"


def test_a_process_that_runs_has_no_code_until_it_is_killed() -> None:
    process = spawned("exec sleep 600")
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_process_that_has_ended_is_not_killed(killed: Killed) -> None:
    process = spawned("exit 0")
    process.wait()
    process.kill()
    assert killed.sent == []


def test_a_child_that_another_has_waited_for_counts_as_ended() -> None:
    process = spawned("exit 3")
    os.waitpid(process._pid, 0)
    assert (process.poll(), process.wait()) == (0, 0)


class Server:
    """A fork server as the forker sees it."""

    def __init__(self, number: int, code: object) -> None:
        self.number, self.code = number, code
        self.is_alive, self.has_ended, self.ends_at_fork = True, False, False
        self.done: list[str] = []

    async def fork(self, run: str, *_: object) -> str:
        if self.ends_at_fork:
            self.is_alive = False
            raise ForkServerEndedError
        return f"{run} of {self.number}"

    def retire(self) -> None:
        self.done.append("retire")

    def close(self) -> None:
        self.done.append("close")


class Servers:
    """Every fork server that was started, and the code of the program."""

    def __init__(self) -> None:
        self.all: list[Server] = []
        self.code = "first"
        self.end_at_fork = 0

    def start(self) -> Server:
        self.all.append(Server(len(self.all), self.code))
        self.all[-1].ends_at_fork = len(self.all) <= self.end_at_fork
        return self.all[-1]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    own = Servers()
    monkeypatch.setattr(ForkServerProcess, "started", own.start)
    monkeypatch.setattr(forked_runs, "code_fingerprint", lambda: own.code)
    return own


def forked(forker: RunForker, run: str) -> object:
    return asyncio.run(forker.fork(run, {}, forked_runs.ROOT))


def test_a_server_is_started_once_on_demand_or_before(servers: Servers) -> None:
    forker = RunForker()
    assert servers.all == []
    forker.warm()
    forker.warm()
    assert [forked(forker, "a"), forked(forker, "b")] == ["a of 0", "b of 0"]
    assert len(servers.all) == 1


def test_a_server_may_be_there_already(servers: Servers) -> None:
    first: Any = Server(7, servers.code)
    assert forked(RunForker(first), "a") == "a of 7"
    assert servers.all == []


def test_changed_code_retires_the_server(servers: Servers) -> None:
    forker = RunForker()
    forker.warm()
    servers.code = "second"
    assert forked(forker, "a") == "a of 1"
    assert [server.done for server in servers.all] == [["retire"], []]
    forker.close()
    assert [server.done for server in servers.all] == [["retire", "close"], ["close"]]


def test_a_retired_server_is_forgotten_once_it_has_ended(servers: Servers) -> None:
    forker = RunForker()
    for servers.code in ("1", "2", "3"):
        forker.warm()
    servers.all[0].has_ended = True
    servers.code = "4"
    forker.warm()
    assert [server.number for server in forker._retired] == [1, 2]  # type: ignore[attr-defined]
    forker.close()
    assert [server.done[-1] for server in servers.all] == ["retire", "close", "close", "close"]


def test_a_server_that_ended_is_replaced_and_the_run_starts(servers: Servers) -> None:
    servers.end_at_fork = 1
    assert forked(RunForker(), "a") == "a of 1"


def test_two_servers_that_end_are_an_error(servers: Servers) -> None:
    servers.end_at_fork = 2
    with pytest.raises(ForkServerEndedError):
        forked(RunForker(), "a")
    assert len(servers.all) == 2


def test_a_forker_without_a_server_has_nothing_to_close(servers: Servers) -> None:
    RunForker().close()
    assert servers.all == []


def test_the_fingerprint_changes_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "collect.py").write_text("1")
    monkeypatch.setattr(forked_runs, "ROOT", tmp_path)
    before = forked_runs.code_fingerprint()
    assert forked_runs.code_fingerprint() == before
    (tmp_path / "flows" / "notes.txt").write_text("1")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "one.py").write_text("1")
    assert forked_runs.code_fingerprint() == before, "neither is code of this program"
    (tmp_path / "flows" / "collect.py").write_text("12")
    longer = forked_runs.code_fingerprint()
    assert longer != before
    os.utime(tmp_path / "flows" / "collect.py", ns=(1, 1))
    assert forked_runs.code_fingerprint() != longer
    (tmp_path / "flows" / "gone.py").symlink_to("nowhere")
    assert len(forked_runs.code_fingerprint()) == len(before) == 2, "the file, and the place of Prefect"


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs are forked on Linux alone")


@linux
@pytest.mark.parametrize("name", ["PYTHONPATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "LC_ALL"])
def test_a_run_that_wants_another_interpreter_is_not_forked(name: str) -> None:
    assert can_fork({**os.environ, "HTTPS_PROXY": "http://proxy", "SSL_CERT_FILE": "/ca.pem"})
    assert not can_fork({**os.environ, name: "other"})


def test_no_run_is_forked_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_fork(os.environ)


def test_a_fork_server_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/home/it",
        "PREFECT_HOME": "/prefect",
        "PYTHONHASHSEED": "0",
        "LANG": "C",
        "LC_ALL": "C",
        "PREFECT_API_AUTH_STRING": "admin:secret",
        "ONEPASSWORD_SOURCE_DATABASE_URL": "postgresql://user:secret@db/events",
        "HTTPS_PROXY": "http://user:secret@proxy",
    }
    monkeypatch.setattr(forked_runs.os, "environ", given)
    assert fork_server_environment() == {name: given[name] for name in list(given)[:6]}
