"""`health`: what it shows, in which form, and how it follows, with real processes on both databases."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.moving_clock import MovingClock
from support.one_machine import wait_until
from support.terminal import CTRL_C, in_terminal, shown_on_terminal
from support.values import SOURCE

from blocks.health import ERROR, WARNING, Condition
from blocks.store import health as store_health
from blocks.store import sources
from blocks.store.engine import open_engine, sqlite_path
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

COMMAND = [sys.executable, "-m", "deployments.cli", "health"]
OTHER = replace(SOURCE, id="2" * 32, name="2\x1bPass", fingerprint="second")
DAY = 86_400
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
LAG = Condition("lag/audit", "Lag", WARNING, "audit was not read\x1b[2J to its end.", "audit", hint="Look at the runs.")
OVER = replace(LAG, name="Recovered", description="audit is read to its end again.")
REFUSED = Condition("error", "ThirdPartyConfigError", ERROR, "The token is refused.", hint="Issue a new one. " * 6)


@pytest.fixture
def store(engine: Engine, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    sources.save(engine, SOURCE)
    sources.save(engine, OTHER)
    return engine


def health(capsys: pytest.CaptureFixture[str], *arguments: str, said: str = "") -> str:
    assert cli.main(["health", *arguments]) == cli.DONE
    out, err = capsys.readouterr()
    assert err == said
    return out


def begin(store: Engine, *found: Condition, source_id: str = SOURCE.id) -> None:
    store_health.update_conditions(store, source_id, found, [])


def recover(store: Engine) -> None:
    store_health.update_conditions(store, SOURCE.id, [], [OVER])


def test_what_changed_and_what_is_still_to_do(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(store, LAG)
    moving.advance(60)
    recover(store)
    moving.advance(60)
    begin(store, REFUSED, source_id=OTHER.id)
    assert health(capsys) == (
        "TIME (UTC)           LEVEL    EVENT                   API        SOURCE\n"
        "2026-09-21 14:13:20  warning  Lag                     audit      1Pass\n"
        "    audit was not read\ufffd[2J to its end.\n"
        "2026-09-21 14:14:20  ok       Recovered               audit      1Pass\n"
        "    audit is read to its end again.\n"
        "2026-09-21 14:15:20  error    ThirdPartyConfigError   all        2\ufffdPass\n"
        "    The token is refused.\n"
        f"    still open → {'Issue a new one. ' * 6}\n"
    )


def test_one_source(store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]) -> None:
    begin(store, REFUSED, source_id=OTHER.id)
    begin(store, replace(LAG, hint=None))
    assert health(capsys, "1Pass").splitlines()[1:] == [
        "2026-09-21 14:13:20  warning  Lag                     audit",
        "    audit was not read\ufffd[2J to its end.",
        "    still open",
    ]
    assert cli.main(["health", "3Pass"]) == cli.WRONG_USE
    assert "There is no source named '3Pass' in the store; there are: 1Pass, 2" in capsys.readouterr().err


def test_json_is_the_record_of_the_hosted_source(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health(capsys, "--json") == "[]\n"
    begin(store, REFUSED)
    (found,) = json.loads(health(capsys, "--json"))
    assert found == store_health.unpublished(store, SOURCE.id)[0].as_json()
    assert (found["eventType"], found["severityLevel"], found["status"]) == ("Health-Change", "Error", "UnHealthy")
    assert (found["eventTime"], found["details"]["hint"]) == ("2026-09-21T14:13:20.000Z", REFUSED.hint)


def test_a_week_is_shown_and_how_many_there_were_before(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health(capsys, said="There are no health events: nothing went wrong.\n") == ""
    begin(store, LAG)
    moving.advance(4 * DAY)
    recover(store)
    moving.advance(3 * DAY)
    assert len(json.loads(health(capsys, "--json"))) == 2
    moving.advance(1)
    older = "1 older event not shown; --since 2026-09-21 shows all.\n"
    assert health(capsys, said=older).count("Recovered") == 1
    assert health(capsys, "--since", "2026-09-21").count("Lag") == 1
    assert health(capsys, "--since", "1h", said=older.replace("1 older event", "2 older events")) == ""
    assert cli.main(["health", "--since", "soon"]) == cli.WRONG_USE
    assert "--since: 'soon' is not a time" in capsys.readouterr().err


@on_sqlite
def test_it_fits_80_columns_and_is_coloured(store: Engine, store_url: str) -> None:
    begin(store, LAG, replace(REFUSED, tracker="error/itemUsage", api="itemUsage", name="ThirdPartyGenericError"))
    recover(store)
    with store.begin() as connection:
        connection.execute(text("UPDATE health_events SET source_name = :long"), {"long": "A source " * 9})
    _, shown = shown_on_terminal(["health"])
    for colour in ("\x1b[1;31merror", "\x1b[1;33mwarning", "\x1b[1;32mok"):
        assert colour in shown
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) == 80
    assert sum(line.endswith("…") for line in lines) == 3
    assert [line[:17] for line in lines if "Issue" in line] == ["    still open → ", " " * 17]


class Follower:
    """`health --follow` in a process of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._out, self._err = directory / "out", directory / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([*COMMAND, "--follow", *arguments], stdout=out, stderr=err)

    @property
    def lines(self) -> list[str]:
        return self._out.read_text().splitlines()

    @property
    def said(self) -> str:
        return self._err.read_text()

    def wait_for(self, lines: int) -> list[Any]:
        wait_until(lambda: len(self.lines) >= lines or self.process.poll() is not None)
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def start(*arguments: str) -> Follower:
        started.append(Follower(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_it_follows_each_source_while_the_store_comes_and_goes(
    store: Engine, store_url: str, follow: Callable[..., Follower]
) -> None:
    begin(store, LAG)
    follower = follow("--json")
    assert [one["eventName"] for one in follower.wait_for(1)] == ["Lag"]
    with Away(store, store_url):
        wait_until(lambda: "Waiting for it." in follower.said)
    begin(store, REFUSED, source_id=OTHER.id)
    recover(store)
    assert [one["eventName"] for one in follower.wait_for(3)] == ["Lag", "ThirdPartyConfigError", "Recovered"]
    assert follower.said.count("Waiting for it.") == follower.said.count("The store is back.") == 1
    follower.process.send_signal(signal.SIGINT)
    assert follower.process.wait(20) == cli.DONE
    assert len(follower.lines) == 3


def test_an_event_with_a_number_from_before_is_not_missed(store: Engine, follow: Callable[..., Follower]) -> None:
    """On PostgreSQL a transaction may take its number first and commit last."""
    begin(store, LAG)
    begin(store, REFUSED)
    with store.begin() as connection:
        connection.execute(text("UPDATE health_events SET id = id + 1000 WHERE name = 'ThirdPartyConfigError'"))
    follower = follow("--json", "1Pass")
    follower.wait_for(2)
    begin(store, replace(LAG, value="another", name="Silence"))
    assert [one["eventName"] for one in follower.wait_for(3)] == ["Lag", "ThirdPartyConfigError", "Silence"]


@on_sqlite
def test_following_ends_when_the_reader_of_the_pipe_ends(store: Engine) -> None:
    begin(store, LAG)
    process = subprocess.Popen([*COMMAND, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Look at the runs." not in process.stdout.readline():
        assert process.poll() is None
    process.stdout.close()
    assert process.wait(20) == cli.DONE
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


@on_sqlite
def test_following_on_a_terminal_ends_with_ctrl_c(store: Engine, store_url: str) -> None:
    begin(store, LAG)
    env = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": store_url}
    code, shown = in_terminal([*COMMAND, "--follow"], [("Look at the runs.", CTRL_C)], env)
    assert code == cli.DONE
    assert "Traceback" not in shown


@on_sqlite
def test_it_needs_no_prefect(store: Engine) -> None:
    code = (
        "import sys; from deployments import cli; cli.main(['health']); cli.main(['status', '--format', 'prometheus'])"
    )
    script = f"{code}; print({{'prefect', 'sqlmodel', 'alembic'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()[-1] == "set()"


class Away:
    """The store cannot be reached: its file is elsewhere, or its server accepts no connection."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine, self._path = engine, sqlite_path(url)

    def __enter__(self) -> None:
        self._engine.dispose()
        if self._path:
            Path(self._path).rename(f"{self._path}.away")
        else:
            self._allow("false")

    def __exit__(self, *_: object) -> None:
        if self._path:
            assert not Path(self._path).exists()  # the follower has not made an empty one
            Path(f"{self._path}.away").rename(self._path)
        else:
            self._allow("true")

    def _allow(self, connections: str) -> None:
        server = open_engine(self._engine.url.set(database="postgres").render_as_string(hide_password=False))
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"ALTER DATABASE {self._engine.url.database} ALLOW_CONNECTIONS {connections}"))
        server.dispose()
