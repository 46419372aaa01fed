"""Live collection and a backfill at full speed share one account's rate windows, which the server counts itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from flows_support import Source

from blocks.events_api.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.prefect

LIMITS = [(8, 2.0), (25, 8.0)]


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setenv(
        "ONEPASSWORD_SOURCE_RATE_LIMITS", " ".join(f"{requests}/{seconds:g}" for requests, seconds in LIMITS)
    )
    with running_sandbox(events=150, days=5, rate_windows=LIMITS) as sandbox:
        made = Source(f"1Pass {request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        made.save()
        yield made


def backfill(source: Source, **wishes: Any) -> Any:
    from flows.backfill import backfill as flow

    return flow(source.name, "5d", return_state=True, **wishes)


def refused(source: Source) -> int:
    return sum(each.get("429", 0) for each in source.sandbox.requests()["endpoints"].values())


def test_a_backfill_at_full_speed_is_never_refused_and_live_goes_on_beside_it(source: Source) -> None:
    assert source.collect().name == "Collected"
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(backfill, source, readers=8)
        for _ in range(2):
            assert source.collect().name == "Collected"
        assert filling.result(120).name == "Backfilled"
    assert source.asked() >= 15, "a window a day of three APIs"
    assert refused(source) == 0


@pytest.mark.torture
def test_without_the_budget_the_server_does_refuse(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would show nothing."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "off")
    backfill(source, readers=8)
    assert refused(source) > 0
