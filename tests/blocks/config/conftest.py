"""The clock of tests of configurations: `collect_from` and a token's times are judged by it."""

from __future__ import annotations

import pytest
from support.source_documents import NOW

from blocks import clock


class FixedClock:
    def now_ns(self) -> int:
        return NOW * 10**9

    def engine_delay(self, seconds: float) -> float:
        return seconds


@pytest.fixture(autouse=True)
def _fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "clock", FixedClock())
