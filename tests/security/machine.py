"""A real `up` whose sources have planted tokens, and a search through everything that it and its commands leave."""

from __future__ import annotations

import json
import secrets
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from psycopg.sql import SQL, Identifier
from security.processes import Watch
from security.search import DECRYPTED, Find, Search
from support import empty_prefect, prefect_database
from support.one_machine import RunningUp, no_runs_meanwhile, wait_until

from blocks.prefect_names import block_name
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deployments.sandbox.process import SandboxProcess

COMMAND = Path(sys.executable).with_name("onepassword-source")
SITE = Path(__file__).parent / "site"
NOWHERE = "events.example.invalid"
"""A host that may have a token, and that no DNS knows."""
ALL_LOGS = {
    "PREFECT_LOGGING_LEVEL": "DEBUG",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "DEBUG",
    "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "httpx,sqlalchemy.engine",
}
BROKEN = {"CANARY_BREAK": "1", "PYTHONPATH": str(SITE)}
SECONDS = 400.0
"""How long a machine under other loads may take for runs side by side."""
OF_UP = "the environment of up"
PREFECT_DATABASE = "data/prefect/postgresql-18"


def issue_token(sandbox: SandboxProcess) -> str:
    return sandbox.issue_token()


@dataclass(frozen=True)
class Case:
    """A source with a token of its own, what its server does to it, and the name of its run's last state.

    `token` makes the token, `injects` the faults for it. `ends` is "" for a run that waits for its next attempt.
    """

    name: str
    ends: str
    injects: Callable[[str], Sequence[dict[str, Any]]] = lambda _: ()
    token: Callable[[SandboxProcess], str] = issue_token
    base_url: str | None = None
    events: int = 30
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Played:
    """The server of a case, and a token that it accepts."""

    sandbox: SandboxProcess
    valid: str

    @property
    def base_url(self) -> str:
        return self.sandbox.base_url


@dataclass
class Machine(RunningUp):
    watch: Watch = field(default_factory=Watch)
    planted: dict[str, str] = field(default_factory=dict)
    common: list[str] = field(default_factory=list)
    said: list[tuple[str, bytes]] = field(default_factory=list)
    given: set[tuple[str, str]] = field(default_factory=set)

    @property
    def env(self) -> dict[str, str]:
        own = {k: v for k, v in super().env.items() if k not in {"PYTHONPATH", "ONEPASSWORD_SOURCE_API_TOKEN"}}
        temporary = self.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        allowed = {"ONEPASSWORD_SOURCE_ALLOWED_HOSTS": NOWHERE}
        logs = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG"}
        return {**own, **logs, **allowed, "TMPDIR": str(temporary)}

    def start(self) -> None:
        empty_prefect.put_into(self.data)
        given = {"ONEPASSWORD_SOURCE_API_TOKEN": self.planted[OF_UP]}
        with (self.directory / "up.out").open("a") as out:
            self.process = subprocess.Popen(
                [COMMAND, "up"],
                env={**self.env, **given},
                cwd=self.directory,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.watch.follow(self.pid, "up")
        wait_until(lambda: "started!" in self.output or not self.is_running(), SECONDS)
        assert self.is_running(), self.output

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        for _ in range(5):
            with suppress(httpx.TransportError):  # a loaded machine is slow, not wrong
                return super().ask(method, path, **options)
        return super().ask(method, path, **options)

    def plant(self, name: str, token: str) -> str:
        assert name not in self.planted
        self.planted[name] = token
        return token

    def issued(self, sandbox: SandboxProcess, name: str, **options: Any) -> str:
        """A new token, planted; what the sandbox's next one shares with it is no secret."""
        token = sandbox.issue_token(**options)
        self.common.append(sandbox.issue_token(**options))
        return self.plant(name, token)

    def call(self, *arguments: str, given: str = "", codes: Sequence[int] = (0, 1, 2), **env: str) -> bytes:
        """What a command prints; that is kept, and so is what it says on its standard error."""
        process = subprocess.Popen(
            [COMMAND, *arguments],
            env={**self.env, **env},
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        named = " ".join(arguments)
        for secret, value in self.planted.items():
            if any(value in one for one in env.values()):
                self.given.add((secret, f"environment of {named}"))
        self.watch.follow(process.pid, named)
        try:
            out, err = process.communicate(given.encode(), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.said.append((named, out + b"\n" + err))
        assert process.returncode in codes, err.decode()[-3000:]
        return out

    def apply(self, *sources: tuple[str, str, str], codes: Sequence[int] = (0,)) -> bytes:
        """Apply sources of (name, base URL, token) from standard input, so that no file of ours holds them.

        Their schedules are paused: each run here is one that a test has started.
        """
        given = json.dumps({"sources": [_source(*source) for source in sources]})
        with no_runs_meanwhile(self, *(name for name, _, _ in sources)):
            said = self.call("apply", "-", given=given, codes=codes)
            for name, _, _ in sources:
                self.ask("POST", f"/api/deployments/{self.deployment(name)['id']}/pause_deployment")
        return said

    def run(self, name: str, **env: str) -> str:
        """Start a run of the deployment that logs everything; its id."""
        path = f"/api/deployments/{self.deployment(name)['id']}/create_flow_run"
        once = {"idempotency_key": secrets.token_hex(8)}
        wanted = {"state": {"type": "SCHEDULED"}, "job_variables": {"env": {**ALL_LOGS, **env}}, **once}
        answer = self.ask("POST", path, json=wanted)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def wait_for_end(self, run: str) -> str:
        """The outcome of the run: the first word of its last state's message."""
        ends = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        wait_until(lambda: time.sleep(0.3) or self.state(run)["type"] in ends, SECONDS)
        return str(self.state(run)["message"]).partition(":")[0]

    def wait_for_retry(self, run: str) -> None:
        wanted = {
            "flow_runs": {"id": {"any_": [run]}},
            "task_runs": {"state": {"name": {"any_": ["AwaitingRetry"]}}},
        }
        wait_until(lambda: time.sleep(0.3) or self.ask("POST", "/api/task_runs/filter", json=wanted).json(), SECONDS)

    @contextmanager
    def playing(self, *cases: Case) -> Iterator[dict[str, str]]:
        """Apply the cases at once, run them side by side until they have ended as they should. Gives their runs.

        `apply` refuses a token that its server refuses: each source is made while its server is well. What is wrong is
        done then, in its block or at its server, and it is applied again, for what `apply` says of that.
        """
        with ExitStack() as stack:
            played = {case.name: stack.enter_context(self._sandbox(case)) for case in cases}
            self.apply(*((name, one.base_url, one.valid) for name, one in played.items()))
            for case in cases:
                self._spoil(case, played[case.name])
            if wrong := [case for case in cases if case.ends != "Collected"]:
                sources = [
                    (one.name, one.base_url or played[one.name].base_url, self.planted[one.name]) for one in wrong
                ]
                self.apply(*sources, codes=(0, 1))
            runs = {case.name: self.run(case.name, **case.env) for case in cases}
            for case in cases:
                self._wait(case, runs[case.name])
            yield runs

    @contextmanager
    def _sandbox(self, case: Case) -> Iterator[Played]:
        with running_sandbox(events=case.events, days=3, seed=len(self.planted)) as sandbox:
            self.common.append(sandbox.issue_token())
            token = self.plant(case.name, case.token(sandbox))
            yield Played(sandbox, token if case.token is issue_token else sandbox.issue_token())

    def _spoil(self, case: Case, played: Played) -> None:
        token = self.planted[case.name]
        if played.valid != token:
            self.edit_block("1password-credentials", case.name, api_token=token)
        if case.base_url:
            self.edit_block("1password-credentials", case.name, base_url=case.base_url)
        for fault in case.injects(token):
            played.sandbox.fault(**fault)

    def _wait(self, case: Case, run: str) -> None:
        if not case.ends:
            return self.wait_for_retry(run)
        ended = self.wait_for_end(run)
        assert ended == case.ends, (case.name, self.state(run))
        return None

    def edit_block(self, kind: str, source: str, **data: object) -> None:
        """What a person does to a block in Prefect's UI."""
        wanted = {"block_documents": {"name": {"any_": [block_name(source)]}}, "include_secrets": True}
        found = self.ask("POST", "/api/block_documents/filter", json=wanted).json()
        (document,) = [one for one in found if one["block_type"]["slug"] == kind]
        new = {"data": {**document["data"], **data}, "merge_existing_data": False}
        answer = self.ask("PATCH", f"/api/block_documents/{document['id']}", json=new)
        assert answer.status_code == 204, answer.text

    @property
    def search(self) -> Search:
        return Search(
            self.planted, self.common, json.loads((self.data / "secrets.json").read_bytes())["encryption_key"]
        )

    def finds(self) -> list[Find]:
        """Everything that is found of the planted, wherever it is."""
        search = self.search
        found = [*search.tree(self.directory), *self._in_prefect(search)]
        for command, said in self.said:
            found += search.data(said, f"output of {command}")
        return [*found, *self.watch.finds(search)]

    def _in_prefect(self, search: Search) -> Iterator[Find]:
        """Row by row: in its files, PostgreSQL compresses what is long."""
        with prefect_database.connected(self.data) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                for (row,) in connection.execute(SQL("SELECT t::text FROM {} t").format(Identifier(table))):
                    yield from search.data(str(row).encode(), f"{PREFECT_DATABASE}, table {table}")

    def leaks(self) -> list[Find]:
        """What is found where it may not be; where a test gave it, it may."""
        return [find for find in self.finds() if not _allowed(find) and (find.secret, _place(find)) not in self.given]

    def count(self, query: str) -> int:
        """A number that the store says."""
        with closing(sqlite3.connect(self.data / "events.db")) as opened:
            return int(opened.execute(query).fetchone()[0])

    def count_in_prefect(self, query: str) -> int:
        return int(prefect_database.execute(self.data, query)[0][0])


def _place(find: Find) -> str:
    """Where it is; a file of Prefect's database holds rows of any table, so all of them are one place."""
    return PREFECT_DATABASE if find.where.startswith(f"{PREFECT_DATABASE}/") else find.where


def _allowed(find: Find) -> bool:
    if find.secret == OF_UP:
        return find.where == "environment of up"  # where it was given
    return DECRYPTED in find.how and _place(find) in {PREFECT_DATABASE, f"{PREFECT_DATABASE}, table block_document"}


def _source(name: str, base_url: str, token: str) -> dict[str, object]:
    apis = ["sign-in", "itemUsage", "audit"]
    config = {"name": name, "base_url": base_url, "api_token": token, "supported_apis": apis, "collect_from": "120d"}
    return {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}
