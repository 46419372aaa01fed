"""Connections to PostgreSQL: both ends give one up whose other end is gone without a word. Readers only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from blocks.store.engine import open_engine, open_reader

if TYPE_CHECKING:
    import psycopg


def _parameters(url: str) -> dict[str, str]:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            driver: psycopg.Connection[tuple[object, ...]] = connection.connection.driver_connection  # type: ignore[assignment]
            assert connection.exec_driver_sql("SELECT 42").scalar() == 42
            return driver.info.get_parameters()
    finally:
        engine.dispose()


def test_this_end_notices_silence(postgresql: str) -> None:
    found = _parameters(postgresql)
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    assert [found[name] for name in names] == ["30", "10", "9", "120000"]


def test_what_the_url_says_goes_first(postgresql: str) -> None:
    assert _parameters(f"{postgresql}&keepalives_idle=7")["keepalives_idle"] == "7"


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
