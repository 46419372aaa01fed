"""`coverage`, as a person and a script see it, and the page with charts in a real browser."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from sqlalchemy import text
from support import browser
from support.moving_clock import MovingClock
from support.terminal import shown_on_terminal
from support.values import SOURCE

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
LATER = ", stored later"
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""For what the database makes no difference to."""
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
        sources.save(opened, record)
    with opened.begin() as connection:
        for stream_id in range(1, 7):
            is_audit = stream_id in {3, 6}
            _spans(connection, stream_id, [(10, -14 / 24)] if is_audit else [(30, 20), (18.5, -14 / 24)])
        one = {
            "h": (MIDNIGHT - 5 * DAY_NS) // HOUR_NS,
            "t": MIDNIGHT - 5 * DAY_NS,
            "r": MIDNIGHT - 5 * DAY_NS + 90 * 10**9,
        }
        connection.execute(text("INSERT INTO hourly_counts VALUES (1, :h, 1234567)"), one)
        event = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'U', :t, :r, '{}')"
        connection.execute(text(event), one)
        connection.execute(text("UPDATE streams SET late = 3, missed = 2, undecided = 1, changed = 4 WHERE id = 2"))
    yield opened
    opened.dispose()


def _spans(connection: Any, stream_id: int, spans: list[tuple[float, float]]) -> None:
    for start, end in spans:
        bounds = {"s": stream_id, "a": MIDNIGHT - int(start * DAY_NS), "b": MIDNIGHT - int(end * DAY_NS)}
        connection.execute(
            text("INSERT INTO collected_spans (stream_id, start_ns, end_ns) VALUES (:s, :a, :b)"), bounds
        )
    first = {"s": stream_id, "a": MIDNIGHT - int(spans[0][0] * DAY_NS), "n": NOW}
    connection.execute(text("UPDATE streams SET read_from_ns = :a, drained_ns = :n WHERE id = :s"), first)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = cli.DONE) -> str:
    assert cli.main(["coverage", *arguments]) == code
    out, err = capsys.readouterr()
    return str(err if code else out)


def test_what_a_person_sees(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    lines = output_of(capsys, "1Pass").splitlines()
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
    shown = output_of(capsys, "1Pass", "--hours", "--api", "sign-in", "--since", "2026-09-01")
    rows = [line for line in shown.splitlines() if line.startswith("2026-09-")]
    assert len(rows) == 21
    assert rows[:2] == ["2026-09-01  " + "??" * 24, "2026-09-02  " + "??" * 12 + "· " * 11 + "·"]
    assert rows[15] == "2026-09-16  █ " + "· " * 22 + "·"
    assert "itemUsage" not in shown


def test_gaps_are_reported_even_if_a_shorter_time_is_shown(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There are no gaps." not in output_of(capsys, "1Pass", "--hours")
    assert f"{GAP} --api sign-in" in output_of(capsys, "1Pass", "--since", "2d")
    assert "There are no gaps." in output_of(capsys, "1Pass", "--api", "audit")


def test_the_command_for_some_apis_is_for_them_alone(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"  onepassword-source backfill 1Pass {GAP} --api sign-in\n" in output_of(
        capsys, "1Pass", "--api", "sign-in"
    )


def test_what_a_script_reads(store: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(output_of(capsys, "1Pass", "--json"))
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
    shown = output_of(capsys, "1Pass", "--api", "audit")
    assert "open  2026-09-21 14:00Z to 2026-09-21 15:00Z  60 min\n" in shown
    assert "  onepassword-source restart 1Pass\n" in shown


def test_a_terminal_of_80_columns_shows_each_line_whole(
    store: Engine, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = shown_on_terminal(["coverage", "1Pass"])
    assert code == cli.DONE
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(cell_len(line) for line in lines if "onepassword-source" not in line) <= 80
    assert "\x1b[" in shown  # it has colours
    assert any("…" in line for line in lines) is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2Pass",), "There is no source named '2Pass'"),
        (("1Pass", "--since", "yesterday"), "--since: 'yesterday' is not a time"),
        (("1Pass", "--since", "2030-01-01"), "--since is in the future."),
        (("1Pass", "--hours", "--since", "200d"), "--hours shows 120 days at most."),
        (
            ("1Pass", "--api", "audits", "--api", "x", "--since", "never"),
            "--api takes sign-in, itemUsage, audit, not 'audits', 'x'; --since: 'never' is not a time",
        ),
        (("1Pass", "--html", "/nowhere/x.html"), "Choose another file with --html."),
    ],
)
def test_wrong_use_reports_all_that_is_wrong(
    store: Engine, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code = cli.IN_ERROR if "--html" in arguments else cli.WRONG_USE
    assert message in output_of(capsys, *arguments, code=code)


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
    assert "<h1>Coverage of &lt;/script&gt;&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;</h1>" in document
    assert document.count("<script") == 3
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=", document)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy
    rules = unescape(policy[1])
    assert "default-src 'none'; script-src 'sha256-" in rules
    assert "unsafe-eval" not in rules
    assert not re.search(r"script-src[^;]*unsafe", rules)
    (data,) = re.findall(r'id="figures">(.*?)</script>', document, re.DOTALL)
    assert not set(data) & set("<>&")  # nothing in it can end its element
    figures = json.loads(data)
    assert set(figures) == {"collected", "calendar-0", "calendar-1", "calendar-2", "events", "lag"}


@pytest.fixture
def filled(store: Engine) -> None:
    """Three APIs that had the same events at the same times: half of them came live, half with a backfill."""
    add = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, :r, '{}')"
    with store.begin() as connection:
        for stream_id in (4, 5, 6):
            for day in range(1, 10):
                at = MIDNIGHT - day * DAY_NS
                lag_ns = 40 * 10**9 if day < 6 else day * DAY_NS
                row = {"s": stream_id, "u": f"{stream_id}-{day}", "t": at, "r": at + lag_ns, "h": at // HOUR_NS}
                connection.execute(text(add), row)
                connection.execute(text("INSERT INTO hourly_counts VALUES (:s, :h, 12)"), row)


@pytest.mark.browser
def test_the_page_draws_its_charts_without_a_network(filled: None, page: Path) -> None:
    """All traffic of the browser goes to a proxy that is not there."""
    with browser.opened(offline=True) as shown:
        observed = browser.observe(shown, page.as_uri())
        shown.goto(page.as_uri())
        assert shown.title().startswith("Coverage of </script>")  # and not "owned"
        shown.wait_for_selector("#lag .scatterlayer .trace")
        assert shown.locator(".js-plotly-plot").count() == 6
        assert shown.locator(".modebar-btn").count() == 0  # one of them would send the data to plotly's makers
        assert observed.found == []


@ON_SQLITE
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("unit", [(), ("--hours",)])
def test_the_page_is_whole_and_open_to_everyone(
    filled: None, tmp_path: Path, width: int, scheme: str, unit: tuple[str, ...]
) -> None:
    """As wide as the window, and without a finding of axe-core, the table of numbers included."""
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "coverage.html"
    assert cli.main(["coverage", NASTY.name, *unit, "--html", str(path)]) == cli.DONE
    # axe-core is put into the page, which its policy would not let happen.
    with browser.opened(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True) as shown:
        shown.goto(path.as_uri())
        shown.wait_for_selector("#lag .main-svg")
        shown.get_by_text("Show the table").press("Enter")
        assert shown.locator("details table").is_visible()
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        outside = "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.wide, svg')"
        cut = f"{outside} && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML)"
        assert shown.evaluate(cut) == []
        found = Axe().run(shown).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@ON_SQLITE
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_many_events_differ_from_the_page_more_than_few_do(filled: None, page: Path, scheme: str) -> None:
    with browser.opened(color_scheme=scheme) as shown:
        shown.goto(page.as_uri())
        shown.wait_for_selector("#lag .main-svg")
        back, few, many = (_luminance(shown, name) for name in ("--back", "--few", "--many"))
        assert _contrast(back, many) > 3 * _contrast(back, few) / 2
        assert _contrast(back, many) > 4.5


def _luminance(shown: Any, name: str) -> float:
    """The relative luminance of WCAG."""
    colour = shown.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def _figures(page: Path) -> dict[str, Any]:
    (data,) = re.findall(r'id="figures">(.*?)</script>', page.read_text(), re.DOTALL)
    return dict(json.loads(data))


@ON_SQLITE
def test_what_was_backfilled_stands_apart_from_the_lag_of_the_api(filled: None, page: Path) -> None:
    traces = {trace["name"]: trace for trace in _figures(page)["lag"]["data"]}
    assert set(traces) == {
        f"{api}{more}" for api in ("sign-in", "itemUsage", "audit") for more in ("", ", stored later")
    }
    for name, trace in traces.items():
        is_late = name.endswith(LATER)
        assert trace["mode"] == ("markers" if is_late else "lines+markers")
        assert len(trace["y"]) == (4 if is_late else 5)
        assert all((lag >= 86_400) == is_late for lag in trace["y"])


@ON_SQLITE
def test_lines_that_coincide_are_distinguishable(filled: None, page: Path) -> None:
    lines = [trace for trace in _figures(page)["lag"]["data"] if trace["mode"] == "lines+markers"]
    assert lines[0]["y"] == lines[1]["y"] == lines[2]["y"]
    widths = [line["line"]["width"] for line in lines]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == len({line["marker"]["symbol"] for line in lines}) == 3
    bars = _figures(page)["events"]["data"]
    assert len({bar["marker"]["pattern"]["shape"] for bar in bars}) == 3


@ON_SQLITE
@pytest.mark.browser
def test_all_dates_are_year_month_and_day(filled: None, page: Path) -> None:
    document = page.read_text()
    text = re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)
    assert not re.findall(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", text)
    with browser.opened() as shown:
        shown.goto(page.as_uri())
        shown.wait_for_selector("#lag .main-svg")
        ticks = shown.locator(".xtick text").all_text_contents()
    assert len(ticks) > 10
    assert all(re.fullmatch(r"(\d\d:\d\d)?(\d{4}-\d\d-\d\d)?", tick) for tick in ticks), ticks


def test_the_page_can_go_into_a_pipe(store: Engine, store_url: str) -> None:
    command = [sys.executable, "-m", "deployments.cli", "coverage", "1Pass", "--html", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    assert done.stderr == ""
