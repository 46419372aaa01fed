"""Around any command: what its environment is, how it ends, and the one line that each error becomes."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import typer

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from deployments import entry_point
from deployments.entry_point import (
    COMPLETION_VARIABLE,
    UNIX_MODULES,
    backup_passphrase_from_environment,
    run_command,
    token_from_environment,
)
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED, TERMINATED, WRONG_USE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deployments.lazy_commands import LazyGroup

TOKEN, PASSPHRASE = "a-token-that-no-output-may-show", "a-passphrase-that-no-output-may-show"


class App:
    """A command line whose one command does what the test says, with any arguments."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.arguments: list[str] | None = None
        self.completed: list[str] = []

    @contextmanager
    def make_context(self, _name: str, arguments: list[str]) -> Iterator[None]:
        self.arguments = arguments
        yield

    def invoke(self, _context: None) -> Any:
        return self._work()

    def main(self, *, prog_name: str) -> None:
        self.completed.append(prog_name)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process as it was: its umask and its environment."""
    monkeypatch.setattr(os, "environ", os.environ)
    for name in ("_token", "_backup_passphrase"):
        monkeypatch.setattr(entry_point, name, None)
    before = dict(os.environ)
    umask = os.umask(0o022)
    yield
    os.umask(umask)
    os.environ.clear()
    os.environ.update(before)


def call(work: Callable[[], Any], *arguments: str) -> int:
    return run_command(cast("LazyGroup", App(work)), arguments or ["status"])


def raising(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    ("returned", "code"), [(None, DONE), (0, DONE), (SKIPPED, SKIPPED), ("text", DONE), ([1], DONE)]
)
def test_what_a_command_returns_is_the_exit_code(returned: object, code: int) -> None:
    assert call(lambda: returned) == code


def test_a_command_may_exit_with_a_code() -> None:
    assert call(raising(typer.Exit(3))) == 3


@pytest.mark.parametrize(
    ("given", "argv", "passed"),
    [
        (["a", "b"], ["x"], ["a", "b"]),
        (None, ["c"], ["c"]),
        (None, [], ["--help"]),
        ([], ["x"], ["--help"]),
        (["--debug"], ["x"], ["--help"]),
        (["a", "--debug", "b"], ["x"], ["a", "b"]),
        (["--debug", "a", "--debug"], ["x"], ["a"]),
        (["a", "--", "--debug"], ["x"], ["a", "--", "--debug"]),
        (["--debug", "--", "--debug"], ["x"], ["--", "--debug"]),
    ],
)
def test_arguments_are_those_of_the_call_without_debug(
    given: list[str] | None, argv: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *argv])
    app = App(lambda: None)
    assert run_command(cast("LazyGroup", app), given) == DONE
    assert app.arguments == passed


CONFIG = ThirdPartyConfigError("The token is rejected.", hint="Replace it.")
STORE = FirstPartyGenericError("The store did not answer.", hint="It is tried again.", code="store")
URL = "ONEPASSWORD_SOURCE_DATABASE_URL"
NO_FILE = FileNotFoundError(2, "No such file or directory", "/nowhere/x")
UNIX = (
    f"This command does not work on {platform.system()}: it needs Linux or macOS. Nothing was changed, and no event is "
    "affected. Run it in WSL 2, in a container, or on a Linux machine. Commands that only read a store, such as "
    f"`status`, may work here if {URL} names a PostgreSQL."
)


class UsageError(Exception):
    """As Typer's: it formats its message, and may know its command."""

    def __init__(self, message: str, path: str | None) -> None:
        super().__init__(message)
        self.ctx = type("Context", (), {"command_path": path})() if path else None

    def format_message(self) -> str:
        return str(self)


def unexpected(kind: str) -> str:
    return f"Unexpected {kind} in this program. Run the command with --debug to see where."


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (KeyboardInterrupt(), "Stopped.", INTERRUPTED),
        (typer.Abort(), "Stopped.", INTERRUPTED),
        (CONFIG, "The token is rejected. Replace it.", WRONG_USE),
        (ThirdPartyGenericError("It timed out.", hint="Wait."), "It timed out. Wait.", IN_ERROR),
        (
            STORE,
            f"The store did not answer. Check the database and {URL}. Committed events are safe.",
            IN_ERROR,
        ),
        (UsageError("No such option: --x.", "onepassword-source status"),
         "No such option: --x. See: onepassword-source status --help", WRONG_USE),
        (UsageError("No such command 'a'. Did you mean 'b'?", None),
         "No such command 'a'. Did you mean 'b'. See: onepassword-source --help", WRONG_USE),
        *((ModuleNotFoundError("quoted", name=name), UNIX, WRONG_USE) for name in UNIX_MODULES),
        (ModuleNotFoundError("quoted", name="pandas"), unexpected("ModuleNotFoundError"), IN_ERROR),
        (NO_FILE, "No such file or directory: /nowhere/x.", IN_ERROR),
        (OSError(28, "No space left on device"), "No space left on device.", IN_ERROR),
        (OSError(TOKEN), unexpected("OSError"), IN_ERROR),
        (ValueError(TOKEN), unexpected("ValueError"), IN_ERROR),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(
    error: BaseException, message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(raising(error)) == code
    assert capsys.readouterr() == ("", f"onepassword-source: {message}\n")


def test_an_error_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(raising(FirstPartyGenericError("\x1b]0;owned\x07[red]x[/red]\nsecond line"))) == IN_ERROR
    assert capsys.readouterr().err == "onepassword-source: \ufffd]0;owned\ufffd[red]x[/red]\nsecond line\n"


@pytest.mark.parametrize(("arguments", "traceback"), [(("status",), False), (("status", "--debug"), True)])
def test_debug_alone_shows_a_traceback(
    arguments: tuple[str, ...], *, traceback: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(raising(ValueError(TOKEN)), *arguments) == IN_ERROR
    err = capsys.readouterr().err
    assert ("Traceback" in err) is (TOKEN in err) is traceback
    assert err.splitlines()[-1] == f"onepassword-source: {unexpected('ValueError')}"


def test_debug_shows_what_prefect_logs_unless_a_level_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_LOGGING_LEVEL", raising=False)
    call(lambda: None)
    assert "PREFECT_LOGGING_LEVEL" not in os.environ
    call(lambda: None, "status", "--debug")
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    call(lambda: None, "status", "--debug")
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "ERROR"


def test_what_a_command_writes_is_for_its_owner() -> None:
    found: list[int] = []
    call(lambda: found.append(os.umask(0o077)))
    assert found == [0o077]


def test_the_secrets_are_out_of_the_environment_before_a_child_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", TOKEN)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("OTHER", "for the child")
    children: list[str] = []
    call(lambda: children.append(subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout))
    assert "OTHER=for the child" in children[0]
    assert TOKEN not in children[0]
    assert PASSPHRASE not in children[0]
    assert (token_from_environment(), backup_passphrase_from_environment()) == (TOKEN, PASSPHRASE)


def test_a_secret_is_that_of_the_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", TOKEN)
    call(lambda: None)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", "")
    call(lambda: None)
    assert token_from_environment() is None
    assert backup_passphrase_from_environment() is None


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN_FILE", str(secret))
    assert call(lambda: None) == DONE
    assert token_from_environment() == TOKEN


def test_a_file_that_cannot_be_read_is_wrong_use_before_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN_FILE", str(tmp_path / "none"))
    assert call(raising(AssertionError())) == WRONG_USE
    err = capsys.readouterr().err
    assert err.startswith("onepassword-source: ONEPASSWORD_SOURCE_API_TOKEN_FILE: ")
    assert err.count("\n") == 1


def test_what_is_odd_in_the_environment_is_a_warning_and_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry_point.secret_files, "read_into", lambda _: ["Everyone may read a file."])
    monkeypatch.setattr(entry_point.proxies, "make_readable", lambda _: ["The proxy is none."])
    assert call(lambda: SKIPPED) == SKIPPED
    assert capsys.readouterr().err == (
        "onepassword-source: Warning: Everyone may read a file.\nonepassword-source: Warning: The proxy is none.\n"
    )


def test_a_shell_that_completes_gets_what_typer_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(lambda: None)
    assert COMPLETION_VARIABLE == "_ONEPASSWORD_SOURCE_COMPLETE"
    run_command(cast("LazyGroup", app), ["status"])
    assert app.completed == []
    monkeypatch.setenv(COMPLETION_VARIABLE, "complete_bash")
    run_command(cast("LazyGroup", app), ["status"])
    assert app.completed == ["onepassword-source"]


def test_ctrl_c_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(lambda: signal.raise_signal(signal.SIGINT)) == INTERRUPTED
    assert capsys.readouterr().err == "onepassword-source: Stopped.\n"


def test_sigterm_unwinds_as_ctrl_c_does() -> None:
    unwound: list[bool] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        call(work)
    assert ended.value.code == TERMINATED
    assert unwound == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_in_another_thread_leaves_the_signals_alone() -> None:
    codes: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> int:
        seen.append(signal.getsignal(signal.SIGTERM))
        return SKIPPED

    thread = threading.Thread(target=lambda: codes.append(call(work)))
    thread.start()
    thread.join()
    assert (codes, seen) == ([SKIPPED], [before])


def test_a_reader_of_a_pipe_that_has_ended_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert call(raising(BrokenPipeError())) == DONE
        assert os.path.samestat(os.fstat(out.fileno()), Path(os.devnull).stat()), "the exit writes what is left"
    assert capsys.readouterr().err == ""


def test_a_pipe_that_ends_at_the_last_line_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Ended:
        def __init__(self, fd: int) -> None:
            self._fd = fd

        def flush(self) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return self._fd

    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", Ended(out.fileno()))
        assert call(lambda: SKIPPED) == DONE
