"""`status`, `list` and `siem status` of many sources: a line each, and as many statements as for a few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from support import fleet_store
from support.terminal import shown_on_terminal

from blocks.store import source_status
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_status
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 101


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    opened = open_engine(store_url)
    yield opened
    opened.dispose()


@pytest.fixture
def statements() -> Iterator[Callable[[], int]]:
    """How many statements were executed since it was called last."""
    count = [0]

    def note(*_: object) -> None:
        count[0] += 1

    def connections() -> int:
        found, count[0] = count[0], 0
        return found

    event.listen(Engine, "before_cursor_execute", note)
    yield connections
    event.remove(Engine, "before_cursor_execute", note)


def call(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> str:
    assert cli.main(arguments) == code
    return capsys.readouterr().out


def test_status_has_a_line_for_each_source_and_errors_come_first(
    store: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet_store.fill(store, MANY, siems=2)
    lines = call(capsys, "status", code=cli.IN_ERROR).splitlines()
    assert len(lines) == 1 + MANY + 2
    assert re.split("  +", lines[0].strip()) == [
        "source",
        "state",
        "since",
        "worst condition",
        "last 24 h",
        "lag",
        "SIEMs",
    ]
    cells = [re.split("  +", line.strip()) for line in lines]
    assert cells[1] == ["team-000", "in error", "3 h", "ThirdPartyConfigError audit", "36", "4 min", "1/2 wait"]
    assert [cell[1] for cell in cells[2:5]] == ["in error", "not running", "not running"]
    assert cells[-3] == ["team-099", "healthy", "36", "4 min", "ok"]
    assert lines[-1] == f"{MANY} sources: 2 in error, 2 not running, 97 healthy."


def test_one_of_many_is_shown_in_detail_by_its_name(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    fleet_store.fill(store, MANY, siems=2)
    shown = call(capsys, "status", "team-010")
    assert shown.startswith("team-010  healthy  https://events.1password.com\n")
    assert "→ soc-0  splunk  waiting  12 sent, 24 waiting for 2 h\n" in shown
    assert "soc-0  waiting  splunk  of team-010" in call(capsys, "siem", "status", "soc-0", "--source", "team-010")


def test_siem_status_has_a_line_for_each_pair(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    fleet_store.fill(store, MANY)
    lines = call(capsys, "siem", "status").splitlines()
    assert re.split("  +", lines[1].strip()) == ["soc-0", "team-000", "waiting", "12", "24", "2 h"]
    assert lines[-1] == f"{MANY} pairs of SIEM and source: 11 waiting, 90 ok."


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", [("status",), ("siem", "status"), ("list",)])
def test_a_narrow_terminal_has_a_line_for_each_too(store: Engine, command: tuple[str, ...], columns: int) -> None:
    fleet_store.fill(store, MANY)
    _, shown = shown_on_terminal(command, columns)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum("team-" in line for line in lines) == MANY, "and no name is cut"


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("status", "--json"),
        ("status", "--format", "prometheus"),
        ("list",),
        ("siem", "status"),
        ("siem", "status", "--json"),
    ],
)
def test_many_sources_take_as_many_statements_as_a_few(
    store: Engine,
    command: tuple[str, ...],
    statements: Callable[[], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fleet_store.fill(store, 11)  # the first and the last of which wait for their SIEM
    cli.main(command)
    of_few = statements()
    with store.begin() as connection:
        for table in ("positions", "pairs", "conditions", "hourly_counts", "chain", "events", "streams", "sources"):
            connection.execute(text(f"DELETE FROM {table}"))
        if store.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE events ALTER COLUMN id RESTART"))
        else:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'events'"))
    fleet_store.fill(store, MANY)
    statements()
    cli.main(command)
    assert statements() <= of_few + 2
    capsys.readouterr()


def test_what_waits_is_counted_as_one_by_one(store: Engine) -> None:
    fleet_store.fill(store, MANY, siems=2)
    with store.begin() as connection:
        connection.execute(text("UPDATE positions SET acknowledged_id = acknowledged_id - 1 WHERE pair_id = '1-1'"))
        connection.execute(text("DELETE FROM positions WHERE pair_id = '2-1'"))
        connection.execute(text("DELETE FROM chain WHERE number = 1 AND stream_id IN (10, 11, 12)"))
        connection.execute(text("DELETE FROM chain WHERE stream_id IN (13, 14, 15)"))
        connection.execute(text("UPDATE streams SET link_id = NULL WHERE id IN (13, 14, 15)"))
    found = {one.id: one for one in forward_status.pairs(store)}
    with store.connect() as connection:
        positions = connection.execute(
            text(
                "SELECT f.id, s.id AS stream, coalesce(p.acknowledged_id, 0) AS sent FROM pairs f "
                "JOIN streams s ON s.source_id = f.source_id "
                "LEFT JOIN positions p ON p.pair_id = f.id AND p.stream_id = s.id ORDER BY s.id"
            )
        ).all()
        for row in positions:
            counted = "SELECT count(*), min(received_ns) FROM events WHERE stream_id = :stream AND id > :sent"
            number, oldest = connection.execute(text(counted), {"stream": row.stream, "sent": row.sent}).one()
            place = (row.stream - 1) % 3
            position = found[row.id].positions[place]
            assert (position.waiting, position.oldest_ns) == (number, oldest), row
    assert {found["1-1"].state, found["2-1"].state} == {"waiting"}
    assert source_status.sources(store, "team-002")[0].streams[0].id == 7
