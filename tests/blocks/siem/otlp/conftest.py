"""A collector of OpenTelemetry that keeps what it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from receivers.otlp import Otlp as Collector
from receivers.server import Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def collector() -> Collector:
    made = Collector()
    made.keep = True
    return made


@pytest.fixture
def receiver(collector: Collector) -> Iterator[Receiver]:
    with receiving(collector) as running:
        yield running
