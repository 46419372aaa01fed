"""Rotation of the password and the key: every block stays readable, whatever happens in between."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from deployments.cli import main
from deployments.prefect_api import local_files, server_access, server_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLER = Path(__file__).with_name("kill_rotation.py")
TABLE = "CREATE TABLE block_document (id CHAR(36) PRIMARY KEY, name VARCHAR, data JSON, block_type_name VARCHAR)"
TOKENS = {"one": b'{"value": "token-1"}', "two": b'{"value": "token-2"}'}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with two blocks in a database of the form that Prefect gives it."""
    for name in [name for name in os.environ if name.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    key = Fernet(server_secrets.load_secrets().encryption_key)
    with closing(_database()) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(TABLE)
        for name, content in TOKENS.items():
            row = (name, name, json.dumps(key.encrypt(content).decode()), "Secret")
            database.execute("INSERT INTO block_document VALUES (?, ?, ?, ?)", row)
    return tmp_path / "data"


def _database() -> sqlite3.Connection:
    return sqlite3.connect(local_files.prefect_database())


def contents() -> dict[str, bytes]:
    key = Fernet(server_secrets.load_secrets().encryption_key)
    with closing(_database()) as database:
        rows = database.execute("SELECT name, data FROM block_document").fetchall()
    return {name: key.decrypt(json.loads(text)) for name, text in rows}


def test_both_are_new_and_the_blocks_are_as_before(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = server_secrets.load_secrets()
    assert main(["secrets", "rotate"]) == 0
    new = server_secrets.load_secrets()
    assert (new.api_password == old.api_password, new.encryption_key == old.encryption_key) == (False, False)
    assert contents() == TOKENS
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
    output = capsys.readouterr().out
    assert "2 blocks are encrypted" in output
    assert 'eval "$(onepassword-source env)"' in output
    assert new.api_password not in output
    assert all(len(line) <= 80 for line in output.splitlines())


def test_nothing_that_the_old_key_opens_is_left(data: Path) -> None:
    with closing(_database()) as database:
        texts = [text.encode() for (text,) in database.execute("SELECT data FROM block_document")]
    server_secrets.rotate(password=True, key=True)
    data_left = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert [text for text in texts if text.strip(b'"') in data_left] == []


def test_one_alone_may_be_rotated() -> None:
    old = server_secrets.load_secrets()
    assert main(["secrets", "rotate", "--password-only"]) == 0
    between = server_secrets.load_secrets()
    assert main(["secrets", "rotate", "--key-only"]) == 0
    new = server_secrets.load_secrets()
    assert old.encryption_key == between.encryption_key != new.encryption_key
    assert old.api_password != between.api_password == new.api_password
    assert contents() == TOKENS


def test_it_is_an_error_while_a_command_uses_the_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with _other("from deployments.prefect_api.server_secrets import hold_secrets; hold_secrets()"):
        _refused("The secrets cannot be rotated while `up`, or another command that uses Prefect, is running.", capsys)
    assert main(["secrets", "rotate"]) == 0


def test_it_is_an_error_while_anything_has_the_database_open(capsys: pytest.CaptureFixture[str]) -> None:
    path = str(local_files.prefect_database())
    code = f"import sqlite3; kept = sqlite3.connect({path!r}); kept.execute('SELECT * FROM block_document').fetchall()"
    with _other(code):
        _refused("The secrets cannot be rotated while", capsys)
    assert main(["secrets", "rotate"]) == 0


def test_a_block_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(_database()) as database, database:
        foreign = json.dumps(Fernet(Fernet.generate_key()).encrypt(b"{}").decode())
        database.execute("INSERT INTO block_document VALUES ('3', 'lost', ?, 'Secret')", (foreign,))
    _refused("1 of Prefect's blocks cannot be read with the current key: Secret/lost.", capsys)


def test_a_shell_with_the_old_secrets_is_still_recognised_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server_access.environment_for(f"{server_access.LOOPBACK_ONLY.origin}/api").items():
        monkeypatch.setenv(name, value)
    assert main(["secrets", "rotate"]) == 0
    assert server_access.external_url() is None
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.com/api")
    assert server_access.external_url() == "https://prefect.example.com/api"


def test_before_the_first_start_there_is_nothing_to_encrypt() -> None:
    local_files.prefect_database().unlink()
    old = server_secrets.load_secrets()
    assert server_secrets.rotate(password=True, key=True) == 0
    sqlite3.connect(local_files.prefect_database()).close()  # made, but without tables yet
    assert server_secrets.rotate(password=True, key=True) == 0
    assert server_secrets.load_secrets().encryption_key != old.encryption_key


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.torture)])
def test_killed_before_any_line_both_hold_or_neither(data: Path, tmp_path: Path, step: int) -> None:
    arguments = [sys.executable, str(KILLER), str(data), str(tmp_path), str(step)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    old, between, new = map(int, done.stdout.split())
    assert min(old, between, new) > 0


def test_a_command_waits_for_a_rotation_and_gets_the_new_secrets() -> None:
    wait = "from deployments.prefect_api import server_secrets as s; print(end='.', flush=True); "
    code = wait + "s.hold_secrets(); print(s.load_secrets().api_password)"
    with server_secrets._exclusive_lock():
        waiting = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert waiting.stdout
        assert waiting.stdout.read(1) == "."
        old = server_secrets._complete_rotation()
        server_secrets._write(server_secrets._SecretsFile(server_secrets.Secrets("new-password", old.encryption_key)))
    assert waiting.communicate(timeout=30)[0].strip() == "new-password"


def _refused(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = server_secrets.secrets_path().read_bytes()
    assert main(["secrets", "rotate"]) == 1
    assert f"onepassword-source: {message}" in capsys.readouterr().err
    assert server_secrets.secrets_path().read_bytes() == before


@contextmanager
def _other(code: str) -> Iterator[None]:
    """Another process, which has run some code, and lives on meanwhile."""
    command = [sys.executable, "-c", f"{code}; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield
        process.communicate(b"\n", timeout=30)
