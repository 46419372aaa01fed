"""Connections to PostgreSQL: both ends give one up whose other end is gone without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store.engine import open_engine

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
