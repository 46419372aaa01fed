"""`backfill`: what it refuses, its plan, the run in this very process, Ctrl-C in the middle of it, and its bar."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import Source
from support.moving_clock import START_NS, MovingClock
from support.one_machine import wait_until
from support.terminal import CTRL_C, in_terminal
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, sources, streams
from deployments import cli
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

DAY = 86_400 * 10**9


def backfill(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> tuple[str, str]:
    assert cli.main(["backfill", *arguments]) == code
    out, err = capsys.readouterr()
    return out, err


# Wrong use: nothing is started for it, neither Prefect nor a request


MISUSES = (
    (["--start", "2026-09-10", "--end", "2026-09-01"], "The span is wrong: start is not before end."),
    (["--start", "2026-09-10", "--end", "2026-09-10"], "The span is wrong: start is not before end."),
    (["--start", "2d", "--end", "2d"], "The span is wrong: start is not before end."),
    (["--start", "2027-01-01"], "The span is wrong: start lies ahead."),
    (["--start", "2027-01-01", "--end", "2027-02-01"], "The span is wrong: start lies ahead."),
    (["--start", "2020-01-01", "--end", "2020-02-01"], "end is more than 120 days ago"),
    (["--start", "2026-09-10T10:00:00"], "the time has no zone; put a Z behind it for UTC."),
    (["--start", "2026-02-30"], "there is no such date or time."),
    ([], "--start is missing."),
    (["--end", "2d"], "--start is missing."),
    (["--start", "2d", "--window", "1s"], "The window '1s' is no duration of a minute or more."),
    (["--resume", "--start", "2d"], "--resume continues a known time range: leave out --start"),
    (["--resume", "--plan"], "--resume continues a known time range: leave out"),
    (["--start", "2d", "--api", "audits"], "--api takes sign-in, itemUsage, audit, not audits."),
    (["--start", "2d", "--readers", "17"], "Invalid value for '--readers': Input should be less than or equal to 16"),
    (
        ["--start", "2d", "--distributed", "-1"],
        "Invalid value for '--distributed': Input should be greater than or equal to 0",
    ),
    (["--start", "120d", "--window", "1m", "--plan"], "That makes 518,400 windows; at most 20,000 are kept."),
)


@pytest.mark.parametrize(("arguments", "message"), MISUSES)
def test_wrong_use_names_the_problem(
    arguments: list[str], message: str, store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = backfill(capsys, "1Pass", *arguments, code=cli.WRONG_USE)
    assert (out, message in err) == ("", True), err
    assert err.startswith("onepassword-source: ")
    assert err.count("\n") == 1


def test_all_problems_are_reported_at_once(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes = ["--start", "yesterday", "--end", "tomorrow", "--window", "1", "--api", "audits"]
    _, err = backfill(capsys, "1Pass", *wishes, code=cli.WRONG_USE)
    assert err == (
        "onepassword-source: --api takes sign-in, itemUsage, audit, not audits. The span is wrong: "
        "start: 'yesterday' is not a time: it is neither a duration nor a time; "
        "end: 'tomorrow' is not a time: it is neither a duration nor a time. "
        "The window '1' is no duration of a minute or more. See: onepassword-source backfill --help\n"
    )


def test_a_plan_of_what_the_store_does_not_have(
    store: Engine, moving: MovingClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.save(store, replace(SOURCE, apis=(Api.AUDIT,)))
    _, err = backfill(capsys, "missing", "--start", "2d", "--plan", code=cli.WRONG_USE)
    assert "There is no source named 'missing' in the store; there are: 1Pass." in err
    _, err = backfill(capsys, "1Pass", "--start", "2d", "--plan", "--api", "sign-in", code=cli.WRONG_USE)
    assert "The source does not collect sign-in. Add it to supported_apis in the source" in err
    assert not (tmp_path / "prefect").exists()


# The plan


def fill(store: Engine, at_ns: int, count: int) -> None:
    """So many audit events a second apart."""
    claim = streams.acquire(store, streams.of_source(store, SOURCE.id, (Api.AUDIT,))[0], "run-1")
    assert claim
    events = [Event(f"U{at_ns}{number}", at_ns + number * 10**9, "{}") for number in range(count)]
    page = Page("c", has_more=False, events=events, invalid_items=[])
    pages.commit_page(store, claim, page, after=None, api_version="v2")


def test_a_plan_for_a_person_fits_80_columns(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, START_NS - 2 * DAY, 2500)
    wish = ["--start", "2026-09-18", "--end", "2026-09-21T02:00:00+02:00", "--plan"]
    out, err = backfill(capsys, "1Pass", *wish)
    assert err == ""
    assert out.splitlines() == [
        "from (UTC)        to (UTC)          windows  sign-in  itemUsage  audit  requests",
        "2026-09-18 00:00  2026-09-19 00:00                 0          0      0         5",
        "2026-09-19 00:00  2026-09-20 00:00                 0          0  2,500         5",
        "2026-09-20 00:00  2026-09-21 00:00                 0          0      0         5",
        (
            "9 windows, 2,500 events known, about 15 requests: as fast as the server answers"
            " at 80% of the rate limits. No request was made."
        ),
    ]


def test_a_plan_has_one_line_for_windows_that_are_alike(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store, START_NS - 10 * DAY, 1)
    out, _ = backfill(capsys, "1Pass", "--start", "100d", "--plan")
    lines = [line.split() for line in out.splitlines()[1:-1]]
    assert [(line[4], line[-1]) for line in (lines[0], lines[-1])] == [("90", "270"), ("9", "27")]
    assert len(lines) == 3
    assert "300 windows, 1 events known, about 300 requests" in out


def test_nothing_to_resume_is_wrong_use_and_starts_nothing(
    store: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = backfill(capsys, "1Pass", "--resume", code=cli.WRONG_USE)
    assert err == (
        "onepassword-source: '1Pass' has no unfinished backfill to resume. "
        "Start one with: onepassword-source backfill 1Pass --start TIME\n"
    )
    assert not (tmp_path / "prefect").exists()


def test_a_plan_for_a_script(store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store, START_NS - DAY, 1500)
    plan = json.loads(backfill(capsys, "1Pass", "--start", "2d", "--api", "audit", "--plan", "--json")[0])
    assert plan == {
        "windows": [
            {
                "api": "audit",
                "start": "2026-09-19T14:13:20Z",
                "end": "2026-09-20T14:13:20Z",
                "known": 0,
                "requests": 2,
            },
            {
                "api": "audit",
                "start": "2026-09-20T14:13:20Z",
                "end": "2026-09-21T14:13:20Z",
                "known": 1500,
                "requests": 2,
            },
        ],
        "requests": 4,
        "seconds": 0.0,
        "notes": [],
    }


def test_a_plan_estimates_the_time_at_the_configured_rate_limits(
    store: Engine, moving: MovingClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "20/60")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKFILL_SHARE", "0.5")
    out, _ = backfill(capsys, "1Pass", "--start", "30d", "--plan")
    assert out.splitlines()[-1].startswith(
        "90 windows, 0 events known, about 90 requests: 8 min at least at 50% of the rate limits."
    )


def test_an_old_start_is_cut_with_a_note(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = backfill(capsys, "1Pass", "--start", "2020-01-01", "--window", "20d", "--plan")
    assert err == "1Password keeps 120 days, so it begins there.\n"
    assert out.splitlines()[1].startswith("2026-05-24 14:13  2026-09-21 14:13        6 ")
    plan = json.loads(backfill(capsys, "1Pass", "--start", "200d", "--end", "2027-01-01", "--plan", "--json")[0])
    assert plan["notes"] == [
        "1Password keeps 120 days, so it begins there.",
        "The end lies ahead, so it ends now.",
    ]


# The run


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with running_sandbox(events=9000, days=3) as sandbox:
        new_source = Source(f"[red]{request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        new_source.save()
        monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", new_source.url)
        yield new_source


def ask(source: Source, query: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(source.url.removeprefix("sqlite:///"))) as database:
        return tuple(database.execute(query).fetchone())


def is_complete(source: Source) -> bool:
    with closing(sqlite3.connect(source.url.removeprefix("sqlite:///"))) as database:
        query = "SELECT api, body FROM events JOIN streams ON streams.id = stream_id"
        kept = sorted(tuple(row) for row in database.execute(query))
    return kept == sorted((api, body.decode()) for api in Api for body in source.sandbox.events(api.path, "v2"))


@pytest.mark.prefect
def test_the_result_is_printed_for_people_and_for_scripts(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = backfill(capsys, source.name, "--start", "4d")
    assert re.fullmatch(
        r"Backfilled: 2\S+Z to 2\S+Z\. 9,\d\d\d events read: 9,000 new, \d+ already known; 0 put in quarantine\.\n", out
    )
    assert err == ""
    assert is_complete(source)
    again = json.loads(backfill(capsys, source.name, "--start", "200d", "--window", "30d", "--json")[0])
    assert again.pop("source_id")
    job, message = again.pop("job"), again.pop("message")
    span = (again.pop("start"), again.pop("end"))
    assert again == {
        "source": source.name,
        "state": "Backfilled",
        "in_error": False,
        "windows_total": 12,
        "windows_done": 12,
        "read": 9000,
        "new": 0,
        "known": 9000,
        "quarantined": 0,
    }
    assert (job,) == ask(source, "SELECT id FROM jobs ORDER BY created_ns DESC")
    assert message.endswith("1Password keeps 120 days, so it begins there.")
    assert span[0] < span[1]


@pytest.mark.prefect
def test_a_plan_of_a_real_source_sends_no_request_and_changes_nothing(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    source.collect()
    source.sandbox.clear_requests()
    kept = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM windows), (SELECT max(fence) FROM streams)"
    before = ask(source, kept)
    out, _ = backfill(capsys, source.name, "--start", "4d", "--plan")
    assert "9,000 events known" in out
    assert source.sandbox.requests()["total"] == 0
    assert before == ask(source, kept)


@pytest.mark.prefect
def test_an_error_in_a_run_is_exit_code_1_and_shows_no_token(source: Source, capfd: pytest.CaptureFixture[str]) -> None:
    source.sandbox.fault("revoked")
    assert cli.main(["backfill", source.name, "--start", "4d", "--debug"]) == cli.IN_ERROR
    out, err = capfd.readouterr()
    assert out.startswith("ThirdPartyConfigError: The Events API refuses the token")
    assert "12 of 12 windows are left" in out
    assert source.sandbox.token not in out + err
    assert cli.main(["backfill", source.name, "--resume", "--json"]) == cli.IN_ERROR
    answer = json.loads(capfd.readouterr().out)
    assert (answer["in_error"], answer["state"], answer["read"]) == (True, "ThirdPartyConfigError", 0)


@pytest.mark.prefect
def test_an_unknown_source_and_nothing_to_resume_are_errors(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = backfill(capsys, "[red]missing", "--start", "4d", code=cli.WRONG_USE)
    assert err.startswith("onepassword-source: There is no source named '[red]missing'. Create it with")
    out, err = backfill(capsys, source.name, "--resume", code=cli.WRONG_USE)
    assert out == ""
    assert "There is no store yet at" in err  # so no backfill was started
    _, err = backfill(capsys, source.name, "--start", "4d", "--distributed", "2", code=cli.WRONG_USE)
    assert "--distributed needs workers, and none runs. Start `onepassword-source up`" in err


def interrupt(source: Source) -> None:
    """Ctrl-C, once two pages are committed."""

    def some() -> bool:
        tables = ask(source, "SELECT count(*) FROM sqlite_master WHERE name = 'windows'")
        return tables == (1,) and ask(source, "SELECT sum(pages) >= 2 FROM windows") == (1,)

    def strike() -> None:
        wait_until(some)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=strike).start()


@pytest.mark.prefect
def test_ctrl_c_in_the_middle_keeps_whole_pages_and_resume_goes_on(
    source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    source.sandbox.fault("delay", seconds=0.2)
    interrupt(source)
    out, err = backfill(capsys, source.name, "--start", "5d", "--window", "5d", "--readers", "2", code=cli.INTERRUPTED)
    assert out.startswith("Stopped: 2")
    assert f"`onepassword-source backfill '{source.name}' --resume`" in out
    assert "Traceback" not in out + err
    kept, read, claimed = ask(source, "SELECT (SELECT count(*) FROM events), sum(new), count(holder) FROM windows")
    assert 0 < kept < 9000
    assert (kept % 1000, read, claimed) == (0, kept, 0), "whole pages alone, and no run holds a window"
    source.sandbox.clear_faults()
    source.sandbox.clear_requests()
    assert f"{9000:,} events read: 9,000 new, 0 already known" in backfill(capsys, source.name, "--resume")[0]
    assert source.request_count() <= (9000 - kept) // 1000 + 3, "what was committed is not read again"
    assert is_complete(source)


@pytest.mark.prefect
@pytest.mark.torture
def test_its_bar_in_a_terminal_and_ctrl_c_there(source: Source) -> None:
    source.sandbox.fault("delay", seconds=0.5)
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "deployments.cli", "backfill", source.name, "--start", "5d", "--readers", "2"]
    code, shown = in_terminal(command, [("0/15 windows", ""), ("/s", CTRL_C)], env)
    assert code == cli.INTERRUPTED
    assert "Stopped:" in shown
    assert "Traceback" not in shown
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\^C", "", shown))
    bars = [line for line in lines if " windows " in line and "%" in line]
    assert [line for line in lines if len(line) > 80] == []
    assert re.match(r"[\d,]+ events  \d+/15 windows  [\d,]+/s ━*.* +\d+% [\d:-]+$", bars[-1].rstrip()), bars
