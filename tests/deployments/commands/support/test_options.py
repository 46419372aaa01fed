"""Times that options take, and the names that a shell completes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import sources
from blocks.store.engine import open_engine
from deployments.commands.support.options import parse_time_option, siem_names, source_names

if TYPE_CHECKING:
    from pathlib import Path


def test_a_duration_counts_back_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ns", lambda: 7 * 86_400 * 10**9)
    assert parse_time_option("--since", "2d") == 5 * 86_400 * 10**9
    assert parse_time_option("--since", "1970-01-02T00:00:00Z") == 86_400 * 10**9


def test_no_option_is_no_time() -> None:
    assert parse_time_option("--since", None) is None


def test_an_error_names_the_option_and_what_it_takes() -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"--until: 'soon' is not a time.*Use a duration such as 90m"):
        parse_time_option("--until", "soon")


def test_a_store_that_is_not_there_completes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    assert (source_names(), siem_names()) == ([], [])


def test_the_names_in_the_store_are_completed(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    engine = open_engine(store_url)
    sources.save(engine, SOURCE)
    engine.dispose()
    assert (source_names(), siem_names()) == ([SOURCE.name], [])
