"""`status`: what it says of a source in each condition, for a person and for a script."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from moving_clock import START_NS, MovingClock
from support import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.store import sources, streams
from blocks.store.engine import open_engine
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from blocks.store.streams import Claim

MINUTE = 60
NASTY = replace(SOURCE, id="2" * 32, name="[red]:smile: \\[/x] /%&<> 日本", fingerprint="second")


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    own = MovingClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def store(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    url = f"sqlite:///{tmp_path / 'events.db'}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    opened = open_engine(url)
    sources.put(opened, SOURCE)
    yield opened
    opened.dispose()


@pytest.fixture
def audit(store: Engine) -> Claim:
    taken = streams.take(store, streams.of_source(store, SOURCE.id, (Api.AUDIT,))[0], "run-1")
    assert taken
    return taken


def status(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> str:
    assert cli.main(["status", *arguments]) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def health(capsys: pytest.CaptureFixture[str], code: int = cli.DONE) -> Any:
    return json.loads(status(capsys, "--json", code=code))[0]["health"]


def drain_all(store: Engine) -> None:
    for view in streams.of_source(store, SOURCE.id, SOURCE.apis):
        claim = streams.take(store, view, "run-1")
        assert claim
        streams.note_drained(store, claim, clock.now_ns())
    sources.show_state(store, SOURCE.id, "Collected", "3 new events.", "run-1")


def test_before_the_first_run_it_is_pending(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    lines = status(capsys).splitlines()
    assert lines[0] == "1Pass  not run yet  Pending  https://events.1password.com"
    assert lines[1].split("  ")[0] == "API"
    assert [line.split()[:2] for line in lines[2:5]] == [["sign-in", "0"], ["itemUsage", "0"], ["audit", "0"]]
    assert health(capsys) == "not run yet"


def test_after_a_run_it_is_healthy_until_three_ticks_pass(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    drain_all(store)
    moving.advance(4 * MINUTE)
    assert status(capsys).splitlines()[:2] == [
        "1Pass  healthy  Collected 4 min ago  https://events.1password.com",
        "  3 new events.",
    ]
    moving.advance(11 * MINUTE)
    assert health(capsys) == "healthy"
    moving.advance(1)
    assert health(capsys) == "late"


def test_a_stream_that_is_retried_shows(store: Engine, audit: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    sources.show_state(store, SOURCE.id, "Collecting", "", "run-1")
    streams.note_failure(store, audit, ThirdPartyGenericError("The Events API answered \x1b[31m500.", code="500"))
    shown = status(capsys)
    assert "1Pass  retrying  Collecting 0 s ago" in shown
    assert "  audit: The Events API answered \ufffd[31m500." in shown.splitlines()
    assert health(capsys) == "retrying"


def test_a_stream_in_error_is_exit_code_1(store: Engine, audit: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    error = ThirdPartyConfigError("The token was refused.", hint="Make a new one.", code="401")
    streams.stop(store, audit, error, SOURCE.fingerprint)
    sources.show_state(store, SOURCE.id, "ThirdPartyConfigError", f"audit: {error}", "run-1")
    shown = status(capsys, code=cli.IN_ERROR)
    assert "1Pass  in error  ThirdPartyConfigError 0 s ago" in shown
    assert shown.count("The token was refused. Make a new one.") == 1
    assert health(capsys, code=cli.IN_ERROR) == "in error"


def test_json_has_all_of_it(store: Engine, audit: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    streams.note_failure(store, audit, ThirdPartyGenericError("It answered 500.", code="500"))
    (found,) = json.loads(status(capsys, "1Pass", "--json"))
    apis = {one.pop("api"): one for one in found.pop("apis")}
    assert found == {
        "name": "1Pass",
        "id": SOURCE.id,
        "base_url": SOURCE.base_url,
        "account_uuid": None,
        "health": "retrying",
        "state": "Pending",
        "in_error": False,
        "state_since": None,
        "message": "",
        "flow_run_id": None,
    }
    assert list(apis) == ["sign-in", "itemUsage", "audit"]
    assert apis["audit"] == {
        "state": "retrying",
        "events": 0,
        "quarantined": 0,
        "newest_event": None,
        "cursor_moved": None,
        "last_page": None,
        "last_drained": None,
        "failing_since": "2026-09-21T14:13:20Z",
        "error_type": "ThirdPartyGenericError",
        "error": "It answered 500.",
    }
    assert START_NS == 1_790_000_000 * 10**9


def test_a_name_is_shown_as_it_is(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    sources.put(store, NASTY)
    sources.show_state(store, NASTY.id, "Collected", "[bold]:tada:[/bold] 1\r2", "run-1")
    shown = status(capsys, NASTY.name)
    assert shown.startswith(f"{NASTY.name}  healthy")
    assert "  [bold]:tada:[/bold] 1\ufffd2\n" in shown


def test_all_sources_are_listed_and_an_unknown_one_names_them(
    store: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.put(store, NASTY)
    assert [one["name"] for one in json.loads(status(capsys, "--json"))] == ["1Pass", NASTY.name]
    assert cli.main(["status", "2Pass"]) == cli.WRONG_USE
    assert f"There is no source named '2Pass' in the store; there are: 1Pass, {NASTY.name}." in capsys.readouterr().err


def test_a_store_without_sources_says_how_to_make_one(
    migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{migrated_sqlite}")
    assert status(capsys) == "There is no source yet. Create one with: onepassword-source apply source.json\n"
    assert json.loads(status(capsys, "--json")) == []
