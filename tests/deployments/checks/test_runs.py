"""The check of whether the runs of a source work."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.store import sources
from blocks.store.engine import open_engine
from deployments import up_health
from deployments.checks.finding import Finding
from deployments.checks.runs import check_runs


def test_runs_that_work_and_runs_that_do_not(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    engine = open_engine(url)
    sources.save(engine, SOURCE)
    assert check_runs(url, SOURCE.name) == Finding("runs", "ok", "none has begun yet")
    sources.save_state(engine, SOURCE.id, "Collected", "", "run-1")
    moving.advance(720)
    assert check_runs(url, SOURCE.name) == Finding("runs", "ok", "the last one gave a sign of life 12 min ago")
    moving.advance(1)
    found = check_runs(url, SOURCE.name)
    assert (found.result, "has worked since 2026-09-21T14:13:20Z" in found.description) == ("failed", True)
    trouble = up_health.Trouble("server", "The Prefect server does not answer.", clock.now())
    up_health.write(up_health.path(), up_health.UpHealth(clock.now(), healthy=False, troubles=(trouble,), started=0))
    assert check_runs(url, SOURCE.name).description == trouble.text
    engine.dispose()


def test_runs_of_a_store_that_cannot_be_read(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    path = Path(url.removeprefix("sqlite:///"))
    assert check_runs(url, "missing").result == "not checked"
    for content in (b"nonsense" * 1000, b""):
        path.write_bytes(content)
        assert check_runs(url, SOURCE.name).result == "not checked"
        assert path.read_bytes() == content
    path.unlink()
    assert check_runs(url, SOURCE.name).result == "not checked"
    assert not path.exists()
