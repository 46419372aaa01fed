"""`status`: what it says of a source in each condition, for a person and for a script."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.forwarding import Pair
from support.moving_clock import START_NS, MovingClock
from support.terminal import shown_on_terminal
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api, Page
from blocks.health import ERROR, WARNING, Condition
from blocks.store import health as store_health
from blocks.store import hourly_counts, sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, JobRequest
from blocks.store.forwarding import positions
from deployments import cli, up_health
from deployments.commands.status import sparkline

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

pytestmark = pytest.mark.usefixtures("moving")

MINUTE = 60
DAY_NS = 86_400 * 10**9
NASTY = replace(SOURCE, id="2" * 32, name="[red]:smile: \\[/x] /%&<> 日本", fingerprint="second")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))


@pytest.fixture
def audit(store: Engine) -> StreamClaim:
    claim = streams.acquire(store, streams.of_source(store, SOURCE.id, (Api.AUDIT,))[0], "run-1")
    assert claim
    return claim


def status(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> str:
    assert cli.main(["status", *arguments]) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def health(capsys: pytest.CaptureFixture[str], code: int = cli.DONE) -> Any:
    return json.loads(status(capsys, "--json", code=code))[0]["health"]


def drain_all(store: Engine) -> None:
    for view in streams.of_source(store, SOURCE.id, SOURCE.apis):
        claim = streams.acquire(store, view, "run-1")
        assert claim
        streams.record_drain(store, claim, clock.now_ns())
    sources.save_state(store, SOURCE.id, "Collected", "3 new events.", "run-1")


def test_before_the_first_run_it_is_pending(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    lines = status(capsys).splitlines()
    assert lines[:2] == ["1Pass  not run yet  https://events.1password.com", "  Pending"]
    assert lines[2] == "  No run has begun yet. Start `onepassword-source up` if it does not run."
    assert [line.split() for line in lines[5:8]] == [
        ["sign-in", "not", "read", "0"],
        ["itemUsage", "not", "read", "0"],
        ["audit", "not", "read", "0"],
    ]
    assert health(capsys) == "not run yet"


def test_after_a_run_it_is_healthy_until_two_ticks_are_missed(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    drain_all(store)
    moving.advance(4 * MINUTE)
    assert status(capsys).splitlines()[:2] == [
        "1Pass  healthy  https://events.1password.com",
        "  Collected 4 min ago: 3 new events.",
    ]
    moving.advance(8 * MINUTE)
    assert health(capsys) == "healthy"
    moving.advance(1)
    shown = status(capsys, code=cli.IN_ERROR)
    assert shown.startswith("1Pass  not running since 2026-09-21 14:13Z (12 min)  https")
    assert "  warning  all        NotRunning  since 2026-09-21 14:13Z (12 min)\n" in shown
    assert "    → Start `onepassword-source up`, or look at its terminal where it runs;" in shown
    (found,) = json.loads(status(capsys, "--json", code=cli.IN_ERROR))
    assert (found["health"], found["open"][0]["condition"]) == ("not running", "NotRunning")
    drain_all(store)
    assert health(capsys) == "healthy"


@pytest.mark.parametrize(("what", "age"), [("server", 0), ("runs", 0), ("server", 300)])
@pytest.mark.usefixtures("data_dir")
def test_trouble_of_up_is_shown(what: str, age: float, store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    drain_all(store)
    trouble = up_health.Trouble(what, "It does not answer.", START_NS / 1e9)
    found = up_health.UpHealth(clock.now() - age, healthy=False, troubles=(trouble,), started=0)
    up_health.write(up_health.path(), found)
    code = cli.IN_ERROR if (what, age) == ("server", 0) else cli.DONE
    shown = status(capsys, code=code)
    assert shown.startswith("Problem since 2026-09-21 14:13Z: It does not answer.\n\n1Pass  healthy") == bool(code)
    assert health(capsys, code=code) == "healthy"


@pytest.mark.usefixtures("data_dir")
def test_a_disk_that_fills_is_shown_and_is_no_error(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    drain_all(store)
    warning = up_health.Trouble("disk", "Only 1 MB are free.", START_NS / 1e9)
    up_health.write(up_health.path(), up_health.UpHealth(clock.now(), True, (), 0, warnings=(warning,)))
    assert status(capsys).startswith("Warning since 2026-09-21 14:13Z: Only 1 MB are free.\n\n1Pass  healthy")


def test_a_source_that_never_ran_is_no_error_for_an_hour(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    moving.advance(60 * MINUTE)
    assert health(capsys) == "not run yet"
    moving.advance(1)
    assert health(capsys, code=cli.IN_ERROR) == "not running"


def test_a_stream_that_is_retried_shows(store: Engine, audit: StreamClaim, capsys: pytest.CaptureFixture[str]) -> None:
    sources.save_state(store, SOURCE.id, "Collecting", "", "run-1")
    streams.record_failure(store, audit, ThirdPartyGenericError("The Events API answered \x1b[31m500.", code="500"))
    shown = status(capsys)
    assert "1Pass  retrying since 2026-09-21 14:13Z (0 s)  https" in shown
    assert "  Collecting 0 s ago\n" in shown
    assert "  audit: The Events API answered \ufffd[31m500." in shown.splitlines()
    assert health(capsys) == "retrying"


def test_a_stream_in_error_is_exit_code_1(
    store: Engine, audit: StreamClaim, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ThirdPartyConfigError("The token was refused.", hint="Make a new one.", code="401")
    streams.stop(store, audit, error, SOURCE.fingerprint)
    sources.save_state(store, SOURCE.id, "ThirdPartyConfigError", f"audit: {error}", "run-1")
    shown = status(capsys, code=cli.IN_ERROR)
    assert "1Pass  in error since 2026-09-21 14:13Z (0 s)  https" in shown
    assert "  ThirdPartyConfigError 0 s ago: audit: The token was refused. Make a new one.\n" in shown
    assert shown.count("The token was refused.") == shown.count("Make a new one.") == 1
    assert "  error    audit      ThirdPartyConfigError  since 2026-09-21 14:13Z (0 s)\n" in shown
    assert health(capsys, code=cli.IN_ERROR) == "in error"


def test_json_has_all_of_it(store: Engine, audit: StreamClaim, capsys: pytest.CaptureFixture[str]) -> None:
    streams.record_failure(store, audit, ThirdPartyGenericError("It answered 500.", code="500"))
    (found,) = json.loads(status(capsys, "1Pass", "--json"))
    apis = {one.pop("api"): one for one in found.pop("apis")}
    assert found == {
        "source": "1Pass",
        "source_id": SOURCE.id,
        "base_url": SOURCE.base_url,
        "account_uuid": None,
        "health": "retrying",
        "health_since": "2026-09-21T14:13:20Z",
        "state": "Pending",
        "in_error": False,
        "state_since": None,
        "message": "",
        "flow_run_id": None,
        "stopped_since": None,
        "backfills": [],
        "siems": [],
        "dropped_fields": ["team"],
        "open": [],
    }
    assert list(apis) == ["sign-in", "itemUsage", "audit"]
    assert apis["audit"] == {
        "state": "retrying",
        "events": 0,
        "pruned": 0,
        "quarantined": 0,
        "in_future": 0,
        "late": 0,
        "missed": 0,
        "changed": 0,
        "newest_event": None,
        "event_lag_seconds": None,
        "collector_lag_seconds": None,
        "cursor_moved": None,
        "last_page": None,
        "last_drained": None,
        "failing_since": "2026-09-21T14:13:20Z",
        "failed_attempts": 1,
        "last_attempt": "2026-09-21T14:13:20Z",
        "next_attempt": None,
        "error_type": "ThirdPartyGenericError",
        "error": "It answered 500.",
        "last_hour": 0,
        "last_24_hours": 0,
        "hourly": [0] * 24,
    }
    assert START_NS == 1_790_000_000 * 10**9


def test_a_retried_api_shows_when_it_is_tried_next(
    store: Engine, audit: StreamClaim, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        streams.record_failure(store, audit, ThirdPartyGenericError("It answered 500.", code="500"))
        moving.advance(5)
    streams.renew(store, audit, for_seconds=60)
    shown = status(capsys, "1Pass")
    assert (
        "audit: failing since 14:13:20, attempt 2 failed at 14:13:25, attempt 3 by 14:14:30, gives up 15:43:20" in shown
    )
    (found,) = json.loads(status(capsys, "1Pass", "--json"))
    assert found["apis"][2]["next_attempt"] == "2026-09-21T14:14:30Z"
    assert found["apis"][2]["failed_attempts"] == 2
    streams.release(store, audit)
    assert "attempt 3 now, or with the next run, gives up" in status(capsys, "1Pass")


def test_a_retried_siem_shows_which_attempt_is_next_and_when(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Pair.create(store)
    for api, seconds in ((Api.AUDIT, 60), (Api.SIGN_IN, 90)):
        claim = pair.claim(api)
        positions.record_failure(store, claim, ThirdPartyGenericError("The SIEM answered 503.", code="503"))
        positions.renew(store, claim, for_seconds=seconds)
    assert "soc  webhook  retrying  0 sent; audit: attempt 2 by 14:14:20" in status(capsys)
    assert cli.main(["siem", "status"]) == cli.DONE
    shown = capsys.readouterr().out
    assert "  sign-in, audit: The SIEM answered 503. Since 2026-09-21 14:13Z.\n" in shown
    assert "  audit: failing since 14:13:20, attempt 1 failed at 14:13:20, attempt 2 by 14:14:20, gives up" in shown
    assert "  sign-in: failing since 14:13:20, attempt 1 failed at 14:13:20, attempt 2 by 14:14:50, gives up" in shown
    assert cli.main(["siem", "status", "--json"]) == cli.DONE
    found = json.loads(capsys.readouterr().out)[0]["apis"]
    keys = ("api", "failed_attempts", "last_attempt", "next_attempt")
    assert [tuple(one[name] for name in keys) for one in found] == [
        ("sign-in", 1, "2026-09-21T14:13:20Z", "2026-09-21T14:14:50Z"),
        ("itemUsage", 0, None, None),
        ("audit", 1, "2026-09-21T14:13:20Z", "2026-09-21T14:14:20Z"),
    ]
    moving.advance(120)
    assert "; sign-in: attempt 2 now, or with the next run" in status(capsys)
    positions.stop(store, claim, ThirdPartyConfigError("The SIEM refuses the token."), "first")
    assert cli.main(["siem", "status"]) == cli.IN_ERROR
    shown = capsys.readouterr().out
    assert "attempt" not in shown
    assert "→ `onepassword-source siem test soc` tries it; `onepassword-source siem resume soc` sends again." in shown


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_cuts_no_number(store: Engine, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE streams SET events = 12345678 WHERE api = 'itemUsage'"))
        url = store.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url.replace("+psycopg", ""))
    _, shown = shown_on_terminal(["status", "1Pass"], columns)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in shown.splitlines()]
    assert any("12,345,678" in line for line in lines)
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= columns


def test_a_name_is_shown_as_it_is(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    sources.save(store, NASTY)
    sources.save_state(store, NASTY.id, "Collected", "[bold]:tada:[/bold] 1\r2", "run-1")
    shown = status(capsys, NASTY.name)
    assert shown.startswith(f"{NASTY.name}  healthy")
    assert "  Collected 0 s ago: [bold]:tada:[/bold] 1\ufffd2\n" in shown


def test_all_sources_are_listed_and_an_unknown_one_names_them(
    store: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.save(store, NASTY)
    assert [one["source"] for one in json.loads(status(capsys, "--json"))] == ["1Pass", NASTY.name]
    assert cli.main(["status", "2Pass"]) == cli.WRONG_USE
    assert f"There is no source named '2Pass' in the store; there are: 1Pass, {NASTY.name}." in capsys.readouterr().err


def test_a_store_without_sources_shows_how_to_create_one(
    migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{migrated_sqlite}")
    assert status(capsys) == "There is no source yet. Create one with: onepassword-source apply source.json\n"
    assert json.loads(status(capsys, "--json")) == []


def fill(store: Engine, stream_id: int, hours_ago: float, events: int) -> None:
    """Put events into the hour that began so long ago."""
    start_ns = clock.now_ns() - int(hours_ago * 3600e9)
    rows = [{"s": stream_id, "u": f"{hours_ago}-{n}", "t": start_ns + n} for n in range(events)]
    statement = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, 0, '{}')"
    with store.begin() as connection:
        connection.execute(text(statement), rows)
        hourly_counts.increment(connection, stream_id, [row["t"] for row in rows])


def test_the_pace_of_an_api(
    store: Engine, audit: StreamClaim, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    streams.record_drain(store, audit, clock.now_ns(), streams.DrainStats(lag_ns=3 * 3600 * 10**9))
    sources.save_state(store, SOURCE.id, "Collected", "", "run-1")
    moving.advance(2 * MINUTE)
    for hours_ago, events in ((24.5, 9), (24, 1), (12, 16), (1, 8)):
        fill(store, audit.stream_id, hours_ago, events)
    lines = status(capsys).splitlines()
    titles = ["API", "state", "events", "newest event (UTC)", "event lag", "collector lag"]
    assert re.split("  +", lines[3].strip()) == titles
    assert lines[6].split() == ["audit", "ok", "0", "3", "h", "2", "min"]
    assert lines[11] == f"audit      2026-09-21 14:13:20          8         25  {'·' * 11}█{'·' * 10}▄·"
    (found,) = [one for one in json.loads(status(capsys, "--json"))[0]["apis"] if one["api"] == "audit"]
    assert (found["event_lag_seconds"], found["collector_lag_seconds"]) == (3 * 3600, 120)
    assert (found["last_hour"], found["last_24_hours"], found["hourly"][11]) == (8, 25, 16)


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [((0, 0), "··"), ((1, 1_000_000), "▁█"), ((1, 2, 3, 4, 5, 6, 7, 8), "▁▂▃▄▅▆▇█"), ((7, 7), "██"), ((), "")],
)
def test_a_chart_shows_even_one_event(counts: tuple[int, ...], drawn: str) -> None:
    assert sparkline(counts) == drawn


def test_an_open_condition_shows_since_when_and_what_to_do(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    expires = Condition("token", "TokenExpires", WARNING, "The token expires soon.", hint="Make\x1b[2J a new one.")
    silent = Condition("silence/audit", "Silence", WARNING, "audit is silent.", "audit")
    store_health.update_conditions(store, SOURCE.id, [expires, silent], [])
    moving.advance(3 * 3600)
    sources.save_state(store, SOURCE.id, "Collected", "", "run-1")
    shown = status(capsys)
    assert (
        "  warning  audit      Silence  since 2026-09-21 14:13Z (3 h)\n"
        "    audit is silent.\n"
        "  warning  all        TokenExpires  since 2026-09-21 14:13Z (3 h)\n"
        "    The token expires soon.\n"
        "    → Make\ufffd[2J a new one.\n"
    ) in shown
    assert json.loads(status(capsys, "--json"))[0]["open"][1] == {
        "tracker": "token",
        "condition": "TokenExpires",
        "severity": "Warning",
        "description": "The token expires soon.",
        "hint": "Make\x1b[2J a new one.",
        "since": "2026-09-21T14:13:20Z",
    }


def test_healthy_since_the_last_recovery(
    store: Engine, audit: StreamClaim, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    streams.record_failure(store, audit, ThirdPartyGenericError("500.", code="500"))
    moving.advance(6 * MINUTE)
    streams.record_failure(store, audit, ThirdPartyGenericError("500.", code="500"))
    assert status(capsys).count("500.") == 1
    drain_all(store)
    moving.advance(2 * MINUTE)
    assert status(capsys).startswith("1Pass  healthy since 2026-09-21 14:19Z (2 min)  https")


def test_a_stopped_source_is_no_error(store: Engine, audit: StreamClaim, capsys: pytest.CaptureFixture[str]) -> None:
    streams.stop(store, audit, ThirdPartyConfigError("The token was refused."), SOURCE.fingerprint)
    with store.begin() as connection:
        connection.execute(text("UPDATE sources SET paused_ns = :now"), {"now": clock.now_ns()})
    assert status(capsys).startswith("1Pass  stopped since 2026-09-21 14:13Z (0 s)  https")
    assert health(capsys) == "stopped"


def test_a_deleted_source_is_shown_when_it_is_named(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE sources SET deleted_ns = :now"), {"now": clock.now_ns()})
    assert json.loads(status(capsys, "--json")) == []
    assert status(capsys, "1Pass").startswith("1Pass  deleted since 2026-09-21 14:13Z (0 s)  https")


def test_quarantine_is_named(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE streams SET quarantined = 1 WHERE api = 'audit'"))
    assert status(capsys).endswith("  audit: 1 item in the table `quarantine`.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--format", "promethus"],
            "--format takes table, json, prometheus, not 'promethus'. Did you mean prometheus?",
        ),
        (["--format", "table", "--json"], "--json means --format json, which contradicts --format table."),
    ],
)
def test_a_wrong_format(store: Engine, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", *arguments]) == cli.WRONG_USE
    assert message in capsys.readouterr().err


def test_json_has_two_names(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        status(capsys, "--json") == status(capsys, "--format", "json") == status(capsys, "--format", "json", "--json")
    )


def test_it_fits_80_columns_at_its_widest(store: Engine, audit: StreamClaim, tmp_path: Path) -> None:
    error = ThirdPartyGenericError("The Events API does not answer. " * 3, hint="Wait for it, or look. " * 5)
    for view in streams.of_source(store, SOURCE.id, SOURCE.apis):
        claim = streams.acquire(store, view, "run-2", by_force=True)
        assert claim
        streams.record_drain(store, claim, clock.now_ns() - 10**9, streams.DrainStats(lag_ns=119 * MINUTE * 10**9))
        claim = streams.acquire(store, view, "run-2")
        assert claim
        streams.stop(store, claim, error, SOURCE.fingerprint)
    with store.begin() as connection:
        connection.execute(text("UPDATE streams SET events = 99999999, newest_ns = drained_ns, quarantined = 99999"))
    code, shown = shown_on_terminal(["status"])
    assert code == cli.IN_ERROR
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert "\x1b[1;31m" in shown
    assert max(map(len, lines)) <= 80
    assert sum("99,999,999  2026-09-21 14:13:19" in line for line in lines) == 3
    arrow = next(number for number, line in enumerate(lines) if line.startswith("    → Wait for it"))
    assert lines[arrow + 1].startswith("      ")


def test_an_error_that_follows_another_is_shown(
    store: Engine, audit: StreamClaim, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for text_, minutes in (("500.", 6), ("500.", 0), ("503.", 0)):
        streams.record_failure(store, audit, ThirdPartyGenericError(text_, hint="Wait."))
        moving.advance(minutes * MINUTE)
    shown = status(capsys)
    assert "\n    500.\n    → Wait.\n" in shown
    assert "\n  audit: 503. Wait.\n" in shown


def test_an_error_of_the_whole_source_has_its_time(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    condition = Condition("error", "FirstPartyGenericError", ERROR, "The database is full.")
    store_health.update_conditions(store, SOURCE.id, [condition], [])
    moving.advance(60 * MINUTE)
    sources.save_state(store, SOURCE.id, "FirstPartyGenericError", "The database is full.", "run-1")
    shown = status(capsys, code=cli.IN_ERROR)
    assert shown.startswith("1Pass  in error since 2026-09-21 14:13Z (60 min)  https")


def test_a_backfill_shows_until_it_is_finished(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    start_ns = START_NS - START_NS % DAY_NS - 4 * DAY_NS
    request = JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), start_ns, start_ns + 4 * DAY_NS)
    job = jobs.start(store, request, DAY_NS)
    line = "  Backfill of 2026-09-17 00:00Z to 2026-09-21 00:00Z: {}"
    goes_on = ". Continue it with: onepassword-source backfill 1Pass --resume"
    assert line.format(f"0% done{goes_on}") in status(capsys).splitlines()
    while claim := windows.acquire(store, job.id, "run-1"):
        assert "% done, running." in status(capsys)
        page = Page("c", has_more=False, events=[], invalid_items=[])
        windows.commit_page(store, claim, page, after=None, api_version="v2", last=True)
        if claim.start_ns == start_ns:
            backfills = json.loads(status(capsys, "--json"))[0]["backfills"]
            span = {"start": "2026-09-17T00:00:00Z", "end": "2026-09-21T00:00:00Z"}
            assert backfills == [{"job": job.id, **span, "done": 0.25, "running": False}]
            assert line.format(f"25% done{goes_on}") in status(capsys).splitlines()
    jobs.start(store, replace(request, kind=RECONCILE), DAY_NS)
    assert "Backfill" not in status(capsys), "a reconcile is none"


def test_a_backfill_whose_run_has_died_can_go_on(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    job = jobs.start(store, JobRequest(BACKFILL, SOURCE.id, tuple(Api), START_NS - DAY_NS, START_NS), DAY_NS)
    assert windows.acquire(store, job.id, "run-1")
    assert "0% done, running." in status(capsys)
    moving.advance(241)
    assert "0% done. Continue it with: onepassword-source backfill 1Pass --resume" in status(capsys)
