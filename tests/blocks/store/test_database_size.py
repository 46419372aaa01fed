"""The database of the store says which software it is, and how much room it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blocks.store.database_size import database_size

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_the_size_is_that_of_all_files(engine: Engine) -> None:
    found = database_size(engine)
    assert found.size > 100_000
    if engine.dialect.name == "sqlite":
        path = str(engine.url.database)
        assert found.software.startswith("SQLite 3.")
        assert found.size == Path(path).stat().st_size + found.log
        assert found.log == Path(f"{path}-wal").stat().st_size
    else:
        assert found.software.startswith("PostgreSQL ")
        assert found.log == 0
