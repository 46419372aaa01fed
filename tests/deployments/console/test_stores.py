"""The console's connections: opened once, again for another store, and closed at the end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from blocks.errors import ThirdPartyConfigError
from deployments.console.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = Stores()
    yield opened
    opened.close()


@pytest.fixture
def files(migrated_sqlite: Path, tmp_path: Path) -> list[str]:
    """The URLs of two stores."""
    return [f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / name)}" for name in ("one.db", "two.db")]


def test_a_store_is_opened_once_for_each_url(stores: Stores, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", files[0])
    first, reader = stores.engine(), stores.reader()
    assert (stores.engine(), stores.reader()) == (first, reader)
    assert first is not reader
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", files[1])
    assert str(stores.engine().url) == files[1]
    assert "two.db" in str(stores.reader().url)
    for opened in (first, reader):
        opened.dispose()


def test_a_reader_cannot_write(stores: Stores, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", files[0])
    with stores.reader().connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM sources"))


def test_a_store_that_is_not_there_yet_is_an_error_until_it_is(
    stores: Stores, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    for opening in (stores.engine, stores.reader):
        with pytest.raises(ThirdPartyConfigError, match="no store yet"):
            opening()
    (tmp_path / "one.db").rename(tmp_path / "none.db")
    assert stores.engine()


def test_after_a_close_the_store_is_opened_again(
    stores: Stores, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", files[0])
    first, reader = stores.engine(), stores.reader()
    stores.close()
    assert stores.engine() is not first
    assert stores.reader() is not reader
    stores.close()
    stores.close()
