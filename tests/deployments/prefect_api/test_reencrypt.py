"""The blocks of this machine's Prefect are encrypted with another key, all of them or none, in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import local_files, reencrypt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this machine's Prefect keeps its SQLite file; PostgreSQL does not run here."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(reencrypt.database, "is_embedded", lambda: False)
    monkeypatch.setattr(reencrypt, "BUSY_SECONDS", 0.0)
    path = local_files.prefect_database()
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def encrypted(content: str, key: str = OLD) -> str:
    return json.dumps(Fernet(key).encrypt(content.encode()).decode())


def fill(path: Path, *data: str) -> None:
    """The blocks `1password-source/block-0`, `…/block-1` and so on."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE block_document (id TEXT PRIMARY KEY, block_type_name, name, data)")
        for number, text in enumerate(data):
            row = (f"id-{number}", "1password-source", f"block-{number}", text)
            connection.execute("INSERT INTO block_document VALUES (?, ?, ?, ?)", row)


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [data for (data,) in connection.execute("SELECT data FROM block_document ORDER BY id")]


def opened_with(key: str, path: Path) -> list[bytes]:
    return [Fernet(key).decrypt(json.loads(data)) for data in stored(path)]


@pytest.mark.parametrize("number", [1, 3])
def test_every_block_is_encrypted_with_the_new_key_alone(database: Path, number: int) -> None:
    contents = [f"content {place}" for place in range(number)]
    fill(database, *map(encrypted, contents))
    assert reencrypt.is_encrypted_with(OLD)
    assert reencrypt.reencrypt_blocks(OLD, NEW) == number
    assert [content.decode() for content in opened_with(NEW, database)] == contents
    assert reencrypt.is_encrypted_with(NEW)
    assert not reencrypt.is_encrypted_with(OLD)


def test_nothing_of_the_old_texts_is_left_in_the_files(database: Path) -> None:
    texts = [encrypted("content" * 20) for _ in range(20)]
    fill(database, *texts)
    reencrypt.reencrypt_blocks(OLD, NEW)
    content = b"".join(path.read_bytes() for path in database.parent.glob("prefect.db*"))
    assert not [text for text in texts if json.loads(text).encode() in content]


@pytest.mark.parametrize("made", [False, True], ids=["no file", "no table"])
def test_before_the_first_start_there_is_nothing_to_encrypt(database: Path, made: bool) -> None:
    if made:
        sqlite3.connect(database).execute("VACUUM").connection.close()
    assert reencrypt.reencrypt_blocks(OLD, NEW) == 0
    assert not reencrypt.is_encrypted_with(OLD)
    assert database.exists() is made


def test_a_database_without_blocks_is_left_as_it_is(database: Path) -> None:
    fill(database)
    assert reencrypt.reencrypt_blocks(OLD, NEW) == 0


@pytest.mark.parametrize(
    "unread",
    [encrypted("x", NEW), '"no token"', "no JSON", "7", "null", '{"url": "plain"}'],
    ids=["another key", "no token", "no JSON", "a number", "null", "not encrypted"],
)
def test_one_block_that_cannot_be_read_leaves_all_as_they_were(database: Path, unread: str) -> None:
    before = [encrypted("content"), unread]
    fill(database, *before)
    with pytest.raises(FirstPartyGenericError) as raised:
        reencrypt.reencrypt_blocks(OLD, NEW)
    assert str(raised.value) == (
        "1 of Prefect's blocks cannot be read with the current key: 1password-source/block-1. Nothing was changed. "
        "Delete them in the Prefect UI, and apply your sources again: `onepassword-source apply FILE`."
    )
    assert stored(database) == before


@pytest.mark.parametrize(("number", "end"), [(5, "block-4. Nothing"), (6, "block-4, …. Nothing")])
def test_no_more_than_five_blocks_are_named(database: Path, number: int, end: str) -> None:
    fill(database, *["no JSON"] * number)
    with pytest.raises(FirstPartyGenericError, match=f"^{number} of Prefect's blocks") as raised:
        reencrypt.reencrypt_blocks(OLD, NEW)
    assert end in str(raised.value)


def test_a_key_opens_some_of_the_blocks(database: Path) -> None:
    fill(database, "no JSON", encrypted("x", NEW))
    assert reencrypt.is_encrypted_with(NEW)
    assert not reencrypt.is_encrypted_with(OLD)


def test_a_database_that_another_process_has_open_is_an_error(database: Path) -> None:
    before = [encrypted("content")]
    fill(database, *before)
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM block_document").fetchall()
        assert reencrypt.is_encrypted_with(OLD), "to read it, it need not be alone"
        with pytest.raises(FirstPartyGenericError) as raised:
            reencrypt.reencrypt_blocks(OLD, NEW)
    assert str(raised.value) == str(local_files.in_use_error())
    assert stored(database) == before


def test_a_database_that_is_none_is_no_database_in_use(database: Path) -> None:
    database.write_bytes(b"nonsense" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        reencrypt.reencrypt_blocks(OLD, NEW)


def test_an_error_other_than_a_lock_is_raised_as_it_is() -> None:
    class Broken:
        def execute(self, _: str) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    with pytest.raises(sqlite3.OperationalError, match="disk"):
        reencrypt._lock(Broken())  # type: ignore[arg-type]
