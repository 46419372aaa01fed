"""Connections to PostgreSQL: both ends give one up whose other end is gone without a word. Readers only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from blocks.errors import ThirdPartyConfigError
from blocks.store import engine, schema
from blocks.store.engine import open_engine, open_reader

if TYPE_CHECKING:
    import psycopg


def _parameters(url: str) -> dict[str, str]:
    opened = open_engine(url)
    try:
        with opened.connect() as connection:
            driver: psycopg.Connection[tuple[object, ...]] = connection.connection.driver_connection  # type: ignore[assignment]
            assert connection.exec_driver_sql("SELECT 42").scalar() == 42
            return driver.info.get_parameters()
    finally:
        opened.dispose()


def test_this_end_notices_silence(postgresql: str) -> None:
    found = _parameters(postgresql)
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    assert [found[name] for name in names] == ["30", "10", "9", "120000"]


def test_what_the_url_says_goes_first(postgresql: str) -> None:
    assert _parameters(f"{postgresql}&keepalives_idle=7")["keepalives_idle"] == "7"


def test_the_server_gets_each_keepalive_setting_that_it_knows(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Unix socket it notes the values and does not use them, so the test reads where they come from."""
    monkeypatch.setitem(engine._SERVER_KEEPALIVE, "tcp_setting_of_a_later_version", 1)
    opened = open_engine(postgresql)
    with opened.connect() as connection:
        found = connection.execute(text("SELECT name FROM pg_settings WHERE source = 'session' AND name LIKE 'tcp%'"))
        assert {*found.scalars()} == {
            "tcp_keepalives_idle",
            "tcp_keepalives_interval",
            "tcp_keepalives_count",
            "tcp_user_timeout",
        }
    opened.dispose()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_is_not_utf8_is_refused_in_words(postgresql: str, encoding: str) -> None:
    admin = open_engine(postgresql)
    name = f"other_{encoding.lower()}"
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
    other = open_engine(postgresql.replace("/postgres?", f"/{name}?"))
    try:
        for _ in range(2):  # a pool does not keep what it could not use
            with pytest.raises(ThirdPartyConfigError, match=f"has the encoding {encoding}.*CREATE DATABASE"):
                schema.upgrade(other)
    finally:
        other.dispose()
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP DATABASE {name}"))  # fails while a connection to it is open
        admin.dispose()


def test_a_reader_cannot_write(store_url: str) -> None:
    reader = open_reader(store_url)
    with pytest.raises(DBAPIError), reader.begin() as connection:
        connection.execute(text("DELETE FROM sources"))
    reader.dispose()


def test_readers_read_at_once_and_do_not_wait_for_a_writer(store_url: str) -> None:
    reader, writer = open_reader(store_url), open_engine(store_url)
    with writer.begin() as writing, reader.connect() as first, reader.connect() as second:
        writing.execute(text("INSERT INTO fields (name, enabled, created_ns) VALUES ('a', false, 0)"))
        for connection in (first, second):
            assert connection.execute(text("SELECT count(*) FROM fields")).scalar() == 0
    with reader.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM fields")).scalar() == 1
    reader.dispose()
    writer.dispose()
