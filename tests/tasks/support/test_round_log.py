"""The line of a round: counts, how late, what fails; and only where the log is JSON."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from blocks.errors import ThirdPartyGenericError
from blocks.json_log import JsonLogFormatter
from tasks.support.drain import CollectResult
from tasks.support.round_log import NAME, log_round
from tasks.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.moving_clock import MovingClock

SECOND = 10**9


def logged(
    caplog: pytest.LogCaptureFixture, outcomes: Mapping[str, CollectResult | BaseException], verdict: Verdict
) -> list[dict[str, Any]]:
    caplog.clear()
    with caplog.at_level(logging.INFO, NAME):
        log_round("1Pass", outcomes, verdict)
    return [json.loads(JsonLogFormatter("worker").format(record)) for record in caplog.records]


@pytest.fixture
def _json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_LOG_FORMAT", "json")


def results(newest_ns: int) -> dict[str, CollectResult | BaseException]:
    return {
        "audit": CollectResult("audit", new=2, known=1, newest_ns=newest_ns, seconds=1.5),
        "sign-in": CollectResult("sign-in", new=3, quarantined=1, newest_ns=newest_ns - 60 * SECOND, seconds=0.5),
    }


@pytest.mark.usefixtures("_json")
def test_a_round_says_how_many_and_how_late(caplog: pytest.LogCaptureFixture, moving: MovingClock) -> None:
    newest = moving.now_ns() - 90 * SECOND
    (line,) = logged(caplog, results(newest), Verdict("Collected", "5 new events."))
    assert (line["level"], line["part"], line["event"], line["source"]) == ("info", "run", "collected", "1Pass")
    assert (line["new"], line["known"], line["quarantined"], line["seconds"]) == (5, 1, 1, 1.5)
    assert line["new_by_api"] == {"audit": 2, "sign-in": 3}
    assert line["newest_age_seconds"] == 90
    assert line["message"] == "Collected: 5 new events."
    assert "error" not in line


@pytest.mark.usefixtures("_json")
def test_a_round_in_error_says_what_fails(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: dict[str, CollectResult | BaseException] = {"audit": ThirdPartyGenericError("The API is down.")}
    (line,) = logged(caplog, outcomes, Verdict("ThirdPartyGenericError", "audit: The API is down."))
    assert (line["level"], line["event"], line["error"]) == ("error", "failed", "ThirdPartyGenericError")
    assert line["failing_apis"] == ["audit"]
    assert "newest_age_seconds" not in line


def test_a_log_of_text_has_no_such_line(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, {}, Verdict("Collected", "0 new events.")) == []
