"""A process that opens a store on SQLite twice keeps its locks.

POSIX drops all locks of a process on a file as soon as it closes any descriptor of that file. Without its lock, another
process takes itself for the last one, and removes the log that this process still writes to.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks.store import diagnosis, schema, source_status
from blocks.store.engine import open_engine
from deployments.checks import storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


READERS: tuple[Callable[[str], object], ...] = (
    lambda url: source_status.open_store(url).dispose(),
    diagnosis.inspect,
    diagnosis.source_addresses,
    storage.check_store,
    storage.check_disk,
)
"""What looks at a store beside the runs."""
OPEN_AND_CLOSE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
connection.close()
"""


def keeps_its_log(path: Path, act: Callable[[], object]) -> bool:
    """Whether the log of an open store is still there after `act`, and after another process came and went."""
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    with engine.connect() as connection:
        connection.execute(text("UPDATE index_state SET error = ''"))
        connection.commit()
        act()
        subprocess.run([sys.executable, "-c", OPEN_AND_CLOSE, str(path)], check=True, timeout=60)
        kept = path.with_name(f"{path.name}-wal").exists()
    engine.dispose()
    return kept


def test_the_log_stays_while_the_store_is_open(tmp_path: Path) -> None:
    assert keeps_its_log(tmp_path / "events.db", lambda: None)


def test_the_log_stays_when_the_store_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    assert keeps_its_log(path, lambda: open_engine(f"sqlite:///{path}").dispose())


def test_the_log_stays_when_the_store_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, act in enumerate(READERS):
        path = tmp_path / f"{number}.db"
        monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{path}")
        assert keeps_its_log(path, lambda act=act, path=path: act(f"sqlite:///{path}")), number
