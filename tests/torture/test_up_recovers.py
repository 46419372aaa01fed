"""What `up` runs is stopped in every way: it says so within two minutes, collects again by itself, and loses nothing.

Twenty sources tick one after the other, so that a few seconds show whether anything works.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest
from support.one_machine import lives, wait_until
from support.prefect_database import connected
from support.up_process import Up, sources

from blocks.store.engine import open_engine
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torture.outcome import Row

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.torture, pytest.mark.prefect]

COUNT = 20
REPORTED_SECONDS = 120.0
AGAIN_SECONDS = 240.0
"""From the cure (or from the trouble, where `up` is to cure it) to the next run that has read its source."""
SLOW = 3.0  # a machine under other loads
LOCKED = "LOCK TABLE flow_run, flow_run_state, deployment IN ACCESS EXCLUSIVE MODE"


class Watched:
    """An `up` with its sandbox, and its health."""

    def __init__(self, up: Up, sandbox: SandboxProcess) -> None:
        self.up = up
        self.sandbox = sandbox

    @property
    def url(self) -> str:
        return f"sqlite:///{self.up.data / 'events.db'}"

    def newest(self) -> int:
        """The last time at which a run read a source to its end (ns)."""
        engine = open_engine(self.url)
        try:
            with engine.connect() as connection:
                return int(connection.exec_driver_sql("SELECT max(drained_ns) FROM streams").scalar() or 0)
        finally:
            engine.dispose()

    def wait_until_collecting(self, since: float, seconds: float) -> float:
        """Until a run that began after `since` (seconds since 1970) has read a source; how long that took from then."""
        wait_until(lambda: self.newest() > since * 1e9, seconds * SLOW)
        return time.time() - since

    def wait_for_line(self, *texts: str, since: int) -> None:
        """Wait until the terminal shows one of these texts after its first `since` characters."""
        wait_until(lambda: any(text in self.up.output[since:] for text in texts), REPORTED_SECONDS * SLOW)

    def compare(self, row: Row) -> None:
        """Compare three sources, see `Row.compare_while_events_arrive`."""
        names = [f"source-{number:03}" for number in range(3)]
        row.compare_while_events_arrive(self.url, self.sandbox, names, lambda name: self.up.call("collect", name))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    up = Up(tmp_path_factory.mktemp("recovers"))
    up.data.mkdir(mode=0o700)
    with running_sandbox(events=600, days=1, rate=20) as sandbox:
        up.start()
        up.apply("sources", sources(sandbox, COUNT))
        made = Watched(up, sandbox)
        try:
            made.wait_until_collecting(time.time() - 1, 300)
            yield made
        finally:
            up.stop()


def _recovers(
    watched: Watched, row: Row, trouble: Callable[[], None], *says: str, cure: Callable[[], None] | None = None
) -> None:
    """The story of each test: trouble, a line on the terminal, the cure if `up` needs one, and collecting again."""
    wait_until(lambda: _is_well(watched), 300)
    before, begun = len(watched.up.output), time.time()
    trouble()
    watched.wait_for_line(*says, since=before)
    reported = time.time() - begun
    if cure is not None:
        cure()
    # A run that was under way when it happened is no sign that another can begin.
    again = time.time() - begun + watched.wait_until_collecting(time.time(), AGAIN_SECONDS)
    row.times, row.seconds = 1, time.time() - begun
    row.notes = [f"on the terminal after {reported:.0f} s, collecting again after {again:.0f} s"]
    assert reported <= REPORTED_SECONDS * SLOW


def _is_well(watched: Watched) -> bool:
    health = watched.up.data / "up-health.json"
    return health.exists() and '"healthy": true' in health.read_text().replace('":true', '": true')


def test_the_write_lock_of_prefects_database_held_from_outside(watched: Watched, row: Row) -> None:
    with connected(watched.up.data) as connection:
        _recovers(
            watched,
            row,
            lambda: connection.execute(LOCKED.encode()) and None,
            "Trouble: The Prefect server does not answer",
            "Trouble: The worker does not poll for runs",
            "Trouble: No run has worked",
            cure=connection.rollback,
        )


@pytest.mark.parametrize("part", ["guarded_server", "worker"])
def test_a_frozen(watched: Watched, row: Row, part: str) -> None:
    process = watched.up.part(part)
    says = (
        "Trouble: The Prefect server does not answer"
        if part == "guarded_server"
        else "Trouble: The worker does not poll"
    )
    _recovers(watched, row, process.suspend, says, cure=lambda: wait_until(lambda: not lives(process), 300))


@pytest.mark.parametrize("part", ["guarded_server", "worker"])
def test_a_killed(watched: Watched, row: Row, part: str) -> None:
    name = "Prefect server" if part == "guarded_server" else "worker"
    _recovers(watched, row, watched.up.part(part).kill, f"The {name} ended (exit code -9); it restarts in")


def test_a_killed_template(watched: Watched, row: Row) -> None:
    template = _template(watched)
    wait_until(lambda: _is_well(watched), 300)
    begun = time.time()
    template.kill()
    again = watched.wait_until_collecting(begun, AGAIN_SECONDS)
    row.times, row.notes = 1, [f"collecting again after {again:.0f} s; the next run had a new template"]
    assert _template(watched).pid != template.pid


def test_a_killed_database(watched: Watched, row: Row) -> None:
    server = int((watched.up.data / "prefect" / "postgresql-18" / "postmaster.pid").read_text().split("\n", 1)[0])
    wait_until(lambda: _is_well(watched), 300)
    begun = time.time()
    os.kill(server, signal.SIGKILL)
    again = watched.wait_until_collecting(begun, AGAIN_SECONDS)
    row.times, row.notes = 1, [f"collecting again after {again:.0f} s"]


def test_a_killed_supervisor_of_the_database(watched: Watched, row: Row) -> None:
    _recovers(watched, row, watched.up.part("database").kill, "The supervisor of the Prefect server's database ended")


def test_after_all_that_nothing_is_lost_and_nothing_twice(watched: Watched, row: Row) -> None:
    wait_until(lambda: _is_well(watched), 300)
    watched.compare(row)


def _template(watched: Watched) -> psutil.Process:
    def find() -> psutil.Process | None:
        with suppress(StopIteration, psutil.NoSuchProcess):  # a worker that is just being started has none yet
            return next(one for one in watched.up.part("worker").children() if lives(one))
        return None

    found: psutil.Process = wait_until(find, 120)
    return found


@contextmanager
def _small_disk(path: Path) -> Iterator[None]:
    """A disk of 300 MB at `path`. Skips the test if this user may not mount one."""
    path.mkdir(mode=0o700)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=0700", "tmpfs", path], check=False)
    if done.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=False)


def test_a_full_disk(tmp_path: Path, row: Row) -> None:
    up = Up(tmp_path)
    with _small_disk(up.data), running_sandbox(events=600, days=1, rate=20) as sandbox:
        try:
            up.start()
            up.apply("sources", sources(sandbox, COUNT))
            full = Watched(up, sandbox)
            full.wait_until_collecting(time.time() - 1, 300)
            _recovers(full, row, lambda: _fill(up.data), "Trouble: ", "ended (exit code", cure=lambda: _empty(up.data))
            full.compare(row)
        finally:
            up.stop()


def _fill(path: Path) -> None:
    with suppress(OSError), (path / "filler").open("wb") as file:
        while shutil.disk_usage(path).free:
            file.write(b"\0" * 65_536)
            file.flush()


def _empty(path: Path) -> None:
    time.sleep(30)  # for as long as it takes until each part has met it
    (path / "filler").unlink()
