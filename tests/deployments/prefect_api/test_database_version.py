"""Whether the installed Prefect knows a form of its database."""

from __future__ import annotations

import importlib.machinery
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from blocks.errors import StoreVersionError
from deployments.prefect_api import database_version
from deployments.prefect_api.database_version import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

OLDER, NEWER = "0123456789ab", "ffffffffffff"
UPGRADED = (
    f"The Prefect server's database has the form {NEWER}, made by a newer Prefect: Prefect {version('prefect')} does "
    "not know it. Nothing was changed. No event is affected: events are in another database. Install the newer version "
    "of this program again. A downgrade is possible only by restoring a backup that the older version made: see the "
    'page "Upgrade" of the documentation.'
)


@pytest.fixture
def prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a Prefect with these files of migrations."""

    def install(**files: str) -> None:
        directory = tmp_path / "prefect" / MIGRATIONS
        directory.mkdir(parents=True)
        for name, content in files.items():
            (directory / f"{name}.py").write_text(content)
        (directory / "README").write_text(f'revision = "{NEWER}"\n')
        origin = str(tmp_path / "prefect" / "__init__.py")
        found = importlib.machinery.ModuleSpec("prefect", None, origin=origin)
        monkeypatch.setattr(database_version, "find_spec", lambda name: found if name == "prefect" else None)

    return install


def test_a_revision_is_known_by_the_name_of_its_file(prefect: Callable[..., None]) -> None:
    prefect(**{f"2026_01_01_{OLDER}_add": "", "env": ""})
    assert database_version.is_known(OLDER)
    assert not database_version.is_known(NEWER)


@pytest.mark.parametrize("line", [f'revision = "{OLDER}"', f"revision: str = '{OLDER}'"])
def test_a_revision_is_known_by_the_content_of_its_file(prefect: Callable[..., None], line: str) -> None:
    prefect(first="nothing here\n", second=f"import sys\n\ndown_revision = '{NEWER}'\n{line}\n")
    assert database_version.is_known(OLDER)
    assert not database_version.is_known(NEWER), "what it follows is no revision of its own"


def test_a_prefect_that_keeps_its_migrations_elsewhere_is_trusted(prefect: Callable[..., None]) -> None:
    prefect()
    assert database_version.is_known(NEWER)


@pytest.mark.parametrize("found", [None, importlib.machinery.ModuleSpec("prefect", None)])
def test_a_prefect_that_is_not_found_is_trusted(
    monkeypatch: pytest.MonkeyPatch, found: importlib.machinery.ModuleSpec | None
) -> None:
    monkeypatch.setattr(database_version, "find_spec", lambda _: found)
    assert database_version.is_known(NEWER)


def test_the_newest_revision_of_the_installed_prefect_is_known() -> None:
    import prefect

    files = sorted((Path(str(prefect.__file__)).parent / MIGRATIONS).glob("*.py"))
    assert len(files) > 10
    (newest,) = database_version._revisions(files[-1:])
    assert database_version.is_known(newest)
    assert not database_version.is_known(NEWER)


# The database


def execute(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


ON_POSTGRESQL = pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)


@ON_POSTGRESQL
def test_a_database_without_a_form_is_new(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_version, "is_known", pytest.fail)
    database_version.require_known(empty_url)
    execute(empty_url, "CREATE TABLE alembic_version (version_num TEXT)")
    database_version.require_known(empty_url)


@ON_POSTGRESQL
def test_a_database_of_a_newer_prefect_is_an_error(empty_url: str, prefect: Callable[..., None]) -> None:
    prefect(**{f"2026_01_01_{OLDER}_add": ""})
    execute(
        empty_url, "CREATE TABLE alembic_version (version_num TEXT)", f"INSERT INTO alembic_version VALUES ('{OLDER}')"
    )
    database_version.require_known(empty_url)
    execute(empty_url, f"UPDATE alembic_version SET version_num = '{NEWER}'")
    with pytest.raises(StoreVersionError) as raised:
        database_version.require_known(empty_url)
    assert (raised.value.code, str(raised.value)) == ("prefect-version", UPGRADED)
