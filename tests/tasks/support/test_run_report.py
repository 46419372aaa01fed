"""The table of a collect run: a row for each API, and none for a run without news."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest
from prefect.exceptions import PrefectException
from support.moving_clock import START_NS

from blocks.errors import ThirdPartyConfigError
from blocks.prefect_names import block_name
from tasks.support import run_report
from tasks.support.drain import CollectResult
from tasks.support.run_report import COLUMNS, report_run

if TYPE_CHECKING:
    from support.moving_clock import MovingClock


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What is saved in Prefect."""
    saved: list[dict[str, object]] = []
    monkeypatch.setattr(run_report, "create_table_artifact", lambda **table: saved.append(table))
    return saved


def result(**members: float | str) -> CollectResult:
    return CollectResult("audit", **members)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "outcomes", [{}, {"audit": result(known=5, pages=1)}, {"audit": result(), "sign-in": result(seconds=3.0)}]
)
def test_a_run_without_news_has_no_table(tables: list[object], outcomes: dict[str, CollectResult]) -> None:
    report_run("1Pass", outcomes, "Collected")
    assert tables == []


@pytest.mark.parametrize(
    "news", [result(new=1), result(quarantined=1), result(note="stopped"), ThirdPartyConfigError("No.")]
)
def test_one_api_with_news_makes_a_table_of_all(tables: list[dict[str, object]], news: CollectResult) -> None:
    report_run("My Source", {"sign-in": result(), "audit": news}, "2 new events")
    ((key, rows, description),) = [table.values() for table in tables]
    assert (key, description) == (f"collect-{block_name('My Source')}", "**My Source**: 2 new events")
    assert isinstance(rows, list)
    assert len(rows) == 2


def test_the_columns_of_a_row(tables: list[dict[str, list[object]]], moving: MovingClock) -> None:
    counted = result(new=1234, known=5678, quarantined=9, pages=1000, seconds=1.25, newest_ns=START_NS - 90 * 10**9)
    report_run("1Pass", {"audit": counted, "sign-in": result()}, "")
    values = ("audit", "1,234", "5,678", "9", "2026-09-21T14:11:50Z", "90 s", "1,000", "1.2", "")
    first, second = tables[0]["table"]
    assert first == dict(zip(COLUMNS, values, strict=True))
    assert second == dict(zip(COLUMNS, ("audit", "0", "0", "0", "", "", "0", "0.0", ""), strict=True))


def test_an_event_of_1970_has_a_time(tables: list[dict[str, list[dict[str, str]]]]) -> None:
    report_run("1Pass", {"audit": result(new=1, newest_ns=0)}, "")
    assert tables[0]["table"][0]["newest event"] == "1970-01-01T00:00:00Z"


def test_the_row_of_an_api_in_error_has_the_error_as_its_note(tables: list[dict[str, list[dict[str, str]]]]) -> None:
    error = ThirdPartyConfigError("No.", hint="Do it.", code="401")
    report_run("1Pass", {"audit": error}, "")
    (row,) = tables[0]["table"]
    assert {name: value for name, value in row.items() if value} == {"API": "audit", "note": str(error)}


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), PrefectException("422"), RuntimeError("no API")])
def test_a_prefect_that_does_not_accept_the_table_stops_no_run(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(run_report, "create_table_artifact", refuse)
    monkeypatch.setattr(run_report, "get_run_logger", lambda: logging.getLogger("test_run_report"))
    report_run("1Pass", {"audit": result(new=1)}, "")
    assert [one.getMessage() for one in caplog.records] == [
        f"The table of the run could not be shown in Prefect ({type(error).__name__})."
    ]
