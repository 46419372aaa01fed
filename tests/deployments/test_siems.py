"""What is new for a SIEM is forwarded at once, one run a second; what did not change waits for its collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import siems
from deployments.siems import AppliedSiem

if TYPE_CHECKING:
    import pytest


def applied(name: str, **sources: str) -> AppliedSiem:
    return AppliedSiem(name=name, kind="splunk", change="unchanged", sources=dict(sources), left=(), not_for_siem=())  # type: ignore[arg-type]


def test_new_and_changed_pairs_run_one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, str, float]] = []

    def run_now(source: str, siem: str, after_seconds: float = 0) -> None:
        runs.append((source, siem, after_seconds))

    monkeypatch.setattr(siems.forward_deployments, "run_now", run_now)
    found = [applied("soc", a="created", b="unchanged", c="updated"), applied("lake", a="created")]
    assert siems.run_new_pairs(found) == 3
    assert runs == [("a", "soc", 0), ("c", "soc", 1), ("a", "lake", 2)]
