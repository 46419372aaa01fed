"""The command line as a stranger meets it: help, wrong use, broken stores, signals, and what it gives away."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.source_documents import token
from support.values import SOURCE

from blocks.config.source_file import parse_sources
from blocks.store import schema, sources
from blocks.store.engine import open_engine
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ("apply", "up", "collect", "status", "health", "events", "sandbox", "env", "demo")
COLUMNS = 80


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    monkeypatch.chdir(tmp_path)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of standard error, when there is nothing else."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("onepassword-source: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removeprefix("onepassword-source: ").strip()


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_has_an_example_and_fits_the_terminal(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert cli.main([*command, "--help"]) == cli.DONE
    shown = capsys.readouterr().out
    assert f"onepassword-source {command[0] if command else 'demo'}" in shown.split("Usage:")[-1][40:]
    assert not [line for line in shown.splitlines() if len(line) > COLUMNS]


def test_the_help_of_apply_ends_with_a_file_that_apply_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["apply", "--help"]) == 0
    example = capsys.readouterr().out.partition('{"source"')
    text = "".join(example[1:]).replace("…", token())
    (source,) = parse_sources(text.encode(), allowed_hosts=frozenset())
    assert (source.name, len(source.supported_apis)) == ("1Pass", 3)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "Start with: onepassword-source demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["statsu"],
            "No such command 'statsu'. Did you mean 'status', 'start', 'restart'. See: onepassword-source --help",
        ),
        (
            ["status", "--jsn"],
            "No such option: --jsn (Possible options: --json). See: onepassword-source status --help",
        ),
        (["events"], "Missing argument 'NAME'. See: onepassword-source events --help"),
        (["events", "X", "--format", "xml"], "--format takes table, json, ndjson, csv, parquet, not 'xml'."),
        (
            ["events", "X", "--format", "CVS"],
            "--format takes table, json, ndjson, csv, parquet, not 'CVS'. Did you mean csv?",
        ),
        (["events", "X", "--api", "audti"], "--api takes sign-in, itemUsage, audit, not 'audti'. Did you mean audit?"),
        (["events", "X", "--since", "soon"], "--since: 'soon' is not a time: it is neither a duration nor a time. Use"),
        (
            ["events", "X", "--until", "2026-11-01T00:00:00"],
            "--until: '2026-11-01T00:00:00' is not a time: the time has",
        ),
        (["events", "X", "--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h. Swap the two."),
        (["status"], "There is no store yet at "),
        (["events", "X"], "There is no store yet at "),
        (["apply", "source.json"], "source.json: the file cannot be read: No such file or directory; expected a JSON"),
        (["apply", "."], ".: the file cannot be read: Is a directory; expected a JSON file that you may read."),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_with_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == cli.WRONG_USE
    assert complaint(capsys).startswith(message)


@pytest.mark.parametrize(
    "arguments", [["--debug", "events", "X"], ["events", "--debug", "X"], ["events", "X", "--debug"]]
)
def test_debug_shows_the_traceback_at_any_position(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == cli.WRONG_USE
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.splitlines()[-1].startswith("onepassword-source: There is no store yet")


def test_after_two_dashes_debug_is_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["events", "--", "--debug"]) == cli.WRONG_USE
    assert complaint(capsys).startswith("There is no store yet")


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def _newer(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    engine.dispose()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.mkdir(),
            "events.db cannot be opened: it is a directory, or this user may not read and write it. Check the database",
        ),
        (
            _garbage,
            "The store did not answer: file is not a database. Check the database and ONEPASSWORD_SOURCE_DATABASE",
        ),
        (_newer, "newer"),
    ],
    ids=["directory", "garbage", "newer"],
)
def test_a_broken_store_is_one_line(
    make: Callable[[Path], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "events.db")
    assert cli.main(["status"]) == cli.IN_ERROR
    assert message in complaint(capsys)


def test_a_server_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", "postgresql://me:my-password@127.0.0.1:9/x")
    assert cli.main(["status", "--debug"]) == cli.IN_ERROR
    shown = capsys.readouterr().err
    assert "The store did not answer: connection failed" in shown
    assert "my-password" not in shown


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "DATA_DIR",
            "/dev/null/x",
            "The directory /dev/null/x cannot be made: Not a directory. Set ONEPASSWORD_SOURCE_",
        ),
        ("PORT", "many", "ONEPASSWORD_SOURCE_PORT is 'many'. Set it to a number from 1 to 65535."),
        ("PORT", "65536", "ONEPASSWORD_SOURCE_PORT is '65536'. Set it to a number from 1 to 65535."),
        ("PORT", "0", "ONEPASSWORD_SOURCE_PORT is '0'. Set it to a number from 1 to 65535."),
        ("RUNS_KEPT", "1h", "ONEPASSWORD_SOURCE_RUNS_KEPT is '1h'. Set it to a time of more than an hour, such as"),
        ("RUNS_KEPT", "a month", "ONEPASSWORD_SOURCE_RUNS_KEPT is 'a month'. Set it to a time of more than an hour"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"ONEPASSWORD_SOURCE_{name}", value)
    assert cli.main(["env"]) == cli.WRONG_USE
    assert complaint(capsys).startswith(message)


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["env"], ["status"], ["sandbox", "--help"]], ids=" ".join)
def test_a_reader_of_a_pipe_that_ends_is_no_error(arguments: list[str], migrated_sqlite: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{migrated_sqlite}"}
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *arguments],
        env=env,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.processes
def test_commands_that_only_read_import_neither_prefect_nor_sqlmodel(migrated_sqlite: Path) -> None:
    code = (
        "import sys; from deployments.cli import main\n"
        "codes = [main(['status', '--json']), main(['events', 'X'])]\n"
        "heavy = {'prefect', 'sqlmodel', 'alembic', 'httpx', 'fastapi', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(f'{codes} {heavy}')\n"
    )
    env = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{migrated_sqlite}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n"
    assert done.stderr.splitlines()[-1] == "[0, 2] set()"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == cli.DONE
    assert capsys.readouterr().out == f"onepassword-source {version('onepassword-source')}\n"


@pytest.mark.processes
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_completes_commands_options_and_names(shell: str, tmp_path: Path) -> None:
    store = tmp_path / "events.db"
    engine = open_engine(f"sqlite:///{store}")
    schema.upgrade(engine)
    sources.save(engine, replace(SOURCE, name="acme"))
    engine.dispose()
    for line, completion in (("siem st", "status"), ("events --fol", "--follow"), ("collect ", "acme")):
        assert completion in completed(shell, f"onepassword-source {line}", store)


def completed(shell: str, line: str, store: Path) -> str:
    """What the program answers the shell that wants to complete the line."""
    env = {
        **os.environ,
        "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{store}",
        "_ONEPASSWORD_SOURCE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    return subprocess.check_output([sys.executable, "-m", "deployments.cli"], env=env, text=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    env = {**os.environ, "_ONEPASSWORD_SOURCE_COMPLETE": f"source_{shell}"}
    script = subprocess.check_output([sys.executable, "-m", "deployments.cli"], env=env, text=True)
    assert "onepassword-source" in script
    assert f"complete_{shell}" in script


def test_each_command_has_its_file_and_each_file_its_command() -> None:
    def paths(entries: Any, above: str = "") -> set[str]:
        return {
            path
            for entry in entries
            for path in (
                paths(entry.entries, f"{entry.name}/") if entry.entries else {f"{above}{entry.module or entry.name}.py"}
            )
        }

    root = Path(cli.__file__).parent / "commands"
    having = {str(path.relative_to(root)) for path in root.rglob("*.py") if "\ndef command(" in path.read_text()}
    assert paths(cli.COMMANDS) == having


@pytest.mark.processes
@pytest.mark.parametrize(
    "arguments", [["--help"], ["collect", "--help"], ["siem", "run"], ["backfill", "X"]], ids=" ".join
)
def test_help_and_wrong_use_import_no_prefect(arguments: list[str]) -> None:
    code = (
        "import sys; from deployments.cli import main\n"
        f"main({arguments!r}); sys.exit(str({{'prefect', 'sqlmodel', 'httpx'}} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "set()"
