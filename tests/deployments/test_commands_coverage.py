"""`coverage`, as a person and a script see it, and the page with charts in a real browser."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import browser
import pytest
from moving_clock import MovingClock
from rich.cells import cell_len
from sqlalchemy import text
from support import SOURCE
from terminal import in_terminal

from blocks import clock
from blocks.store import sources
from blocks.store.engine import open_engine
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

DAY_NS = 86_400 * 10**9
HOUR_NS = 3600 * 10**9
MIDNIGHT = 1_789_948_800 * 10**9  # 2026-09-21, a Monday
NOW = MIDNIGHT + 14 * HOUR_NS
NASTY = replace(SOURCE, id="2" * 32, name="</script><script>document.title='owned'</script>", fingerprint="second")
BEFORE = "--start 2026-05-24T14:00:00Z --end 2026-08-22T00:00:00Z"
GAP = "--start 2026-09-01T00:00:00Z --end 2026-09-02T12:00:00Z"


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    own = MovingClock(NOW)
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Two sources that collected for 30 days but for a day and a half; audit only for 10 days, with item usages."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    opened = open_engine(store_url)
    for record in (SOURCE, NASTY):
        sources.put(opened, record)
    with opened.begin() as connection:
        for stream_id in range(1, 7):
            is_audit = stream_id in {3, 6}
            _spans(connection, stream_id, [(10, -14 / 24)] if is_audit else [(30, 20), (18.5, -14 / 24)])
        one = {
            "h": (MIDNIGHT - 5 * DAY_NS) // HOUR_NS,
            "t": MIDNIGHT - 5 * DAY_NS,
            "r": MIDNIGHT - 5 * DAY_NS + 90 * 10**9,
        }
        connection.execute(text("INSERT INTO hours VALUES (1, :h, 1234567)"), one)
        event = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'U', :t, :r, '{}')"
        connection.execute(text(event), one)
        connection.execute(text("UPDATE streams SET late = 3, missed = 2, undecided = 1, changed = 4 WHERE id = 2"))
    yield opened
    opened.dispose()


def _spans(connection: Any, stream_id: int, spans: list[tuple[float, float]]) -> None:
    for start, end in spans:
        bounds = {"s": stream_id, "a": MIDNIGHT - int(start * DAY_NS), "b": MIDNIGHT - int(end * DAY_NS)}
        connection.execute(text("INSERT INTO spans (stream_id, start_ns, end_ns) VALUES (:s, :a, :b)"), bounds)
    first = {"s": stream_id, "a": MIDNIGHT - int(spans[0][0] * DAY_NS), "n": NOW}
    connection.execute(text("UPDATE streams SET read_from_ns = :a, drained_ns = :n WHERE id = :s"), first)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> str:
    assert cli.main(["coverage", *arguments]) == code
    out, err = capsys.readouterr()
    return str(err if code else out)


def test_what_a_person_sees(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "1Pass").splitlines()
    assert lines[:6] == [
        "1Pass  coverage by the day since 2026-05-24, in UTC",
        "",
        "API        from        reconciled     events  late  missed  undecided  changed",
        "sign-in    2026-08-22  never       1,234,567     0       0          0        0",
        "itemUsage  2026-08-22  never               0     3       2          1        4",
        "audit      2026-09-11  never               0     0       0          0        0",
    ]
    start = lines.index("sign-in")
    assert [line[31:] for line in lines[start + 2 : start + 9]] == [
        "- · · · · ·",
        "- · ??· ·",
        "- · ·?· █",
        "- · · · ·",
        "- · · · ·",
        "· · · · ·",
        "· · · · ·",
    ]
    assert lines[-9:] == [
        "gap  2026-09-01 00:00Z to 2026-09-02 12:00Z  36 h",
        "  sign-in, itemUsage: 99 days left, then 1Password drops it.",
        f"  onepassword-source backfill 1Pass {GAP} --api sign-in --api itemUsage",
        "before the start  2026-05-24 14:00Z to 2026-08-22 00:00Z  89 d",
        "  sign-in, itemUsage: 1Password drops it now, from its start on; the last of it in 89 days.",
        f"  onepassword-source backfill 1Pass {BEFORE} --api sign-in --api itemUsage",
        "before the start  2026-05-24 14:00Z to 2026-09-11 00:00Z  109 d",
        "  audit: 1Password drops it now, from its start on; the last of it in 109 days.",
        "  onepassword-source backfill 1Pass --start 2026-05-24T14:00:00Z --end 2026-09-11T00:00:00Z --api audit",
    ]
    assert "? not collected  ! lost for good" in "\n".join(lines)


def test_one_api_by_the_hour(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "1Pass", "--hours", "--api", "sign-in", "--since", "2026-09-01")
    rows = [line for line in shown.splitlines() if line.startswith("2026-09-")]
    assert len(rows) == 21
    assert rows[:2] == ["2026-09-01  " + "??" * 24, "2026-09-02  " + "??" * 12 + "· " * 11 + "·"]
    assert rows[15] == "2026-09-16  █ " + "· " * 22 + "·"
    assert "itemUsage" not in shown


def test_gaps_are_told_however_short_a_time_is_shown(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no gap." not in said(capsys, "1Pass", "--hours")
    assert f"{GAP} --api sign-in" in said(capsys, "1Pass", "--since", "2d")
    assert "There is no gap." in said(capsys, "1Pass", "--api", "audit")


def test_the_command_for_some_apis_is_for_them_alone(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"  onepassword-source backfill 1Pass {GAP} --api sign-in\n" in said(capsys, "1Pass", "--api", "sign-in")


def test_what_a_script_reads(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "1Pass", "--json"))
    apis = {one.pop("api"): one for one in found.pop("apis")}
    assert found == {
        "source": "1Pass",
        "source_id": SOURCE.id,
        "now": "2026-09-21T14:00:00Z",
        "since": "2026-05-24T00:00:00Z",
        "unit": "day",
        "kept_days": 120,
    }
    sign_in = apis["sign-in"]
    cells = {cell["start"]: cell for cell in sign_in.pop("cells")}
    assert len(cells) == 121
    assert cells["2026-09-16T00:00:00Z"] == {
        "start": "2026-09-16T00:00:00Z",
        "events": 1234567,
        "collected_seconds": 86400.0,
        "gap_seconds": 0.0,
        "lost_seconds": 0.0,
        "before_seconds": 0.0,
        "reconciled": None,
        "lag_seconds": 90.0,
    }
    assert cells["2026-09-02T00:00:00Z"]["gap_seconds"] == 43200.0
    before, gap = sign_in.pop("gaps")
    assert gap == {
        "kind": "gap",
        "start": "2026-09-01T00:00:00Z",
        "end": "2026-09-02T12:00:00Z",
        "seconds": 129600.0,
        "dropped_from": "2026-12-30T00:00:00Z",
        "dropped_by": "2026-12-31T12:00:00Z",
        "days_left": 99.42,
        "command": f"onepassword-source backfill 1Pass {GAP} --api sign-in",
    }
    assert (before["kind"], before["days_left"]) == ("before", 0)
    assert sign_in == {
        "collecting": True,
        "collected_from": "2026-08-22T00:00:00Z",
        "collected": [
            {"start": "2026-08-22T00:00:00Z", "end": "2026-09-01T00:00:00Z"},
            {"start": "2026-09-02T12:00:00Z", "end": "2026-09-21T14:00:00Z"},
        ],
        "last_reconciled": None,
        "events": 1234567,
        "late": 0,
        "missed": 0,
        "undecided": 0,
        "changed": 0,
    }
    usages = apis["itemUsage"]
    assert [usages[name] for name in ("late", "missed", "undecided", "changed")] == [3, 2, 1, 4]


def test_a_source_that_stopped_collecting_is_to_be_started(
    store: Engine, moving: MovingClock, capsys: pytest.CaptureFixture[str]
) -> None:
    moving.advance(3600)
    shown = said(capsys, "1Pass", "--api", "audit")
    assert "open  2026-09-21 14:00Z to 2026-09-21 15:00Z  60 min\n" in shown
    assert "  onepassword-source restart 1Pass\n" in shown


def test_a_terminal_of_80_columns_shows_each_line_whole(
    store: Engine, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "deployments.cli", "coverage", "1Pass"]
    code, shown = in_terminal(command, [])
    assert code == cli.DONE
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(cell_len(line) for line in lines if "onepassword-source" not in line) <= 80
    assert "\x1b[" in shown  # it has colours
    assert any("…" in line for line in lines) is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("2Pass",), "There is no source named '2Pass'"),
        (("1Pass", "--since", "yesterday"), "--since: 'yesterday' is not a time"),
        (("1Pass", "--since", "2030-01-01"), "--since lies ahead."),
        (("1Pass", "--hours", "--since", "200d"), "--hours shows 120 days at most."),
        (
            ("1Pass", "--api", "audits", "--api", "x", "--since", "never"),
            "--api takes sign-in, itemUsage, audit, not 'audits', 'x'; --since: 'never' is not a time",
        ),
        (("1Pass", "--html", "/nowhere/x.html"), "Choose another file with --html."),
    ],
)
def test_wrong_wishes_say_all_that_is_wrong(
    store: Engine, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    code = cli.IN_ERROR if "--html" in arguments else cli.WRONG_USE
    assert says in said(capsys, *arguments, code=code)


@pytest.fixture
def page(store: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "coverage.html"
    assert cli.main(["coverage", NASTY.name, "--html", str(path)]) == cli.DONE
    assert capsys.readouterr().err == f"The page was written to {path}; only you can read it.\n"
    return path


def test_the_page_is_for_its_owner_and_no_name_can_drive_it(page: Path) -> None:
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    document = page.read_text()
    assert NASTY.name not in document
    assert (
        "<h1>Coverage of &lt;/script&gt;&lt;script&gt;document.title=&#x27;owned&#x27;&lt;/script&gt;</h1>" in document
    )
    assert document.count("<script") == 3
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", document)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy
    assert "default-src 'none'; script-src 'sha256-" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert not re.search(r"script-src[^;]*unsafe", policy[1])
    (data,) = re.findall(r'id="figures">(.*?)</script>', document, re.DOTALL)
    assert not set(data) & set("<>&")  # nothing in it can end its element
    figures = json.loads(data)
    assert set(figures) == {"collected", "calendar-0", "calendar-1", "calendar-2", "events", "lag"}


def test_the_page_draws_its_charts_without_a_network(page: Path, tmp_path: Path) -> None:
    """All traffic of the browser goes to a proxy that is not there."""
    shown = browser.dump(page.as_uri(), tmp_path / "profile", "--proxy-server=127.0.0.1:9")
    assert "<title>Coverage of &lt;/script&gt;" in shown  # and not "owned"
    drawn = {name: re.search(rf'<div id="{name}" class="js-plotly-plot">', shown) for name in ("collected", "lag")}
    assert all(drawn.values())
    assert shown.count('class="js-plotly-plot"') == 6
    assert shown.count('class="main-svg"') >= 6
    assert shown.count('class="points"') >= 4
    assert 'data-title="Reset axes"' in shown
    assert 'data-title="Share' not in shown  # plotly's own button, which sends the data to its makers


def test_the_page_can_go_into_a_pipe(store: Engine, store_url: str) -> None:
    command = [sys.executable, "-m", "deployments.cli", "coverage", "1Pass", "--html", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    assert done.stderr == ""
