"""The last check of each source: its findings, or why there are none; it outlives the console that made it."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.store import sources
from deployments.console import check_results
from deployments.console.check_results import CheckResults, CheckStep, read_findings

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

STEPS = (CheckStep("DNS", "ok", "it has an address", ""), CheckStep("TLS", "warning", "old", "Renew it."))


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_results, "read_findings", lambda name: STEPS if name == "1Pass" else ())


def test_the_next_console_has_the_results_with_their_times(tmp_path: Path) -> None:
    file = tmp_path / "check-results.json"
    before = CheckResults(file)
    made = before.check("id-1", "1Pass")
    before.check("id-2", "other")
    after = CheckResults(file).all()
    assert after == before.all()
    assert after["id-1"] == made
    assert (after["id-1"].findings, after["id-1"].worst, after["id-2"].worst) == (STEPS, "warning", "ok")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b'{"id-1": 5}', b"[]", b"\xff"])
def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "check-results.json"
    file.write_bytes(content)
    results = CheckResults(file)
    assert results.all() == {}
    results.check("id-1", "1Pass")
    assert list(CheckResults(file).all()) == ["id-1"]


def test_a_disk_that_takes_nothing_costs_only_the_memory_of_the_next_console(tmp_path: Path) -> None:
    results = CheckResults(tmp_path / "missing" / "check-results.json")
    assert results.check("id-1", "1Pass").findings == STEPS
    assert list(results.all()) == ["id-1"]


@pytest.mark.prefect
def test_findings_are_those_of_the_command(store: Engine) -> None:
    sources.save(store, replace(SOURCE, base_url="http://127.0.0.1:9"))
    found = {one.step: one.result for one in read_findings("1Pass")}
    assert found["store"] == "ok"
    assert "Prefect server" in found


@pytest.mark.prefect
def test_a_check_of_an_unknown_source_says_why(store: Engine) -> None:
    with pytest.raises(FirstPartyGenericError, match="no source named '--other'"):
        read_findings("--other")
