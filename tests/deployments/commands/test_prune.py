"""`prune`, as a person types it, and its schedule on a real Prefect server."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.prefect_reads import read_all
from support.terminal import in_terminal
from support.values import SOURCE

from blocks.store import schema, source_status, sources
from blocks.store.engine import open_engine
from deployments import cli, prune_schedule

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "deployments.cli"]
DAY_NS = 86_400 * 10**9
OLD, RECENT = 5, 3


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with old events in each API, of which one was not sent yet, and old events that came lately."""
    store_url = f"sqlite:///{tmp_path / 'events.db'}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    engine = open_engine(store_url)
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    now_ns = time.time_ns()
    insert = text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, :r, '{}')")
    with engine.begin() as connection:
        for stream in (1, 2, 3):
            for n in range(OLD + RECENT):
                received_ns = now_ns - (500 if n < OLD else 5) * DAY_NS
                connection.execute(insert, {"s": stream, "u": f"U{n}", "t": now_ns - 500 * DAY_NS, "r": received_ns})
        connection.execute(text("UPDATE streams SET events = :n"), {"n": OLD + RECENT})
        connection.execute(
            text("INSERT INTO positions (pair_id, stream_id, acknowledged_id) VALUES ('siem', 1, :sent)"),
            {"sent": OLD - 1},
        )
    engine.dispose()
    return store_url


def stored_count(url: str) -> int:
    engine = source_status.open_store(url)
    with engine.connect() as connection:
        found = int(connection.execute(text("SELECT count(*) FROM events")).scalar_one())
    engine.dispose()
    return found


ALL = 3 * (OLD + RECENT)
GOING = 3 * OLD - 1


def test_dry_run_shows_what_would_go_and_why_the_rest_stays(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prune", "--older-than", "400d", "--dry-run"]) == cli.DONE
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0][0] == "1Pass:"
    assert lines[2][:3] + lines[2][5:] == ["sign-in", "8", "4", "4", "not", "sent", "yet"]
    assert lines[4][:3] + lines[4][5:] == ["audit", "8", "5", "3", "received", "lately"]
    assert shown.err == "Nothing was removed (--dry-run).\n"
    assert not [line for line in shown.out.splitlines() if len(line) > 80]
    assert stored_count(url) == ALL


def test_yes_removes_and_json_reports_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prune", "1Pass", "--older-than", "400d", "--yes", "--json"]) == cli.DONE
    document = json.loads(capsys.readouterr().out)
    assert [one["removed"] for one in document["apis"]] == [4, 5, 5]
    assert [one["to_go"] for one in document["apis"]] == [4, 5, 5]
    assert document["dry_run"] is False
    assert stored_count(url) == ALL - GOING
    assert cli.main(["prune", "--older-than", "400d", "--yes"]) == cli.DONE
    assert capsys.readouterr().out.endswith("There is nothing to remove.\n")


def test_without_a_terminal_it_wants_yes(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prune", "--older-than", "400d"]) == cli.WRONG_USE
    assert "14 events would be removed permanently, which needs a confirmation." in capsys.readouterr().err
    assert stored_count(url) == ALL


@pytest.mark.parametrize(("answer", "code", "stay"), [("n\n", cli.INTERRUPTED, ALL), ("y\n", cli.DONE, ALL - GOING)])
def test_on_a_terminal_it_needs_a_confirmation(url: str, answer: str, code: int, stay: int) -> None:
    ended, shown = in_terminal(
        [*COMMAND, "prune", "--older-than", "400d"], [("permanently? [y/N]:", answer)], os.environ
    )
    assert ended == code, shown
    assert stored_count(url) == stay


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--older-than is missing"),
        (["--older-than", "120d"], "is less than 121 days: 1Password keeps its events for 120"),
        (["--older-than", "soon"], "'soon' is not a number of days or weeks"),
        (["--older-than", "400d", "Missing"], "There is no source named 'Missing' in the store."),
        (["--older-than", "400d", "--schedule", "hourly"], "--schedule takes daily, weekly, monthly, not 'hourly'."),
        (["--older-than", "400d", "--schedule", "daily", "--yes"], "leave out --dry-run and --yes"),
        (["--older-than", "400d", "--no-schedule"], "--no-schedule takes no other options"),
    ],
)
def test_wrong_use_is_explained(url: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prune", *flags]) == cli.WRONG_USE
    assert message in capsys.readouterr().err
    assert stored_count(url) == ALL


def deployments() -> dict[str, Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = read_all(client.read_deployments)
    return {one.name: one for one in found if one.entrypoint == "flows.prune.prune"}


@pytest.mark.prefect
def test_a_schedule_is_made_changed_and_ended(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prune", "--no-schedule"]) == cli.DONE
    assert capsys.readouterr().out == "There was no such schedule.\n"
    assert cli.main(["prune", "--older-than", "400d", "--schedule", "daily"]) == cli.DONE
    assert cli.main(["prune", "1Pass", "--older-than", "150d", "--schedule", "weekly"]) == cli.DONE
    created = deployments()
    one = f"source {SOURCE.id}"
    assert set(created) == {"all sources", one}
    assert created["all sources"].parameters == {"older_than": "400d", "source": None}
    assert created[one].parameters == {"older_than": "150d", "source": SOURCE.id}
    (schedule,) = created[one].schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone, schedule.active) == ("17 3 * * 0", "UTC", True)
    assert cli.main(["prune", "--older-than", "500d", "--schedule", "monthly"]) == cli.DONE
    changed = deployments()["all sources"]
    assert (changed.id, changed.parameters["older_than"]) == (created["all sources"].id, "500d")
    assert [one.schedule.cron for one in changed.schedules] == [prune_schedule.SCHEDULES["monthly"]]
    assert cli.main(["prune", "--no-schedule"]) == cli.DONE
    assert cli.main(["prune", "1Pass", "--no-schedule"]) == cli.DONE
    assert deployments() == {}
    assert stored_count(url) == ALL
