"""SQL on Prefect's own database in a data directory, without a Prefect server."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from deployments.prefect_api import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def execute(data: Path, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Execute and commit a statement. Returns its rows."""
    with connected(data) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def connected(data: Path) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with _of(data), database.running(), psycopg.connect(database.psycopg_url()) as connection:
        yield connection


@contextmanager
def _of(data: Path) -> Iterator[None]:
    before = os.environ.copy()
    for name in database.URL_SETTINGS:
        os.environ.pop(name, None)
    os.environ["ONEPASSWORD_SOURCE_DATA_DIR"] = str(data)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
