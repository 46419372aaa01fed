"""A source's block as tasks load it, without a Prefect server: a test can edit its document in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect.exceptions import ObjectNotFound
from prefect.logging import disable_run_logger
from support.values import SOURCE

from tasks.support import health_spool, publish, source, stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.health import HealthEvent


class StoredBlock:
    """The document of one source. `loads` counts its loads; `published` has the events sent to Prefect."""

    def __init__(self, store_url: str) -> None:
        self.loads = 0
        self.failure: Exception | None = None
        self.published: list[HealthEvent] = []
        self.prefect_answers = True
        self.data: dict[str, Any] = {
            "name": SOURCE.name,
            "credentials": {"base_url": "http://127.0.0.1:9", "api_token": "no-jwt"},
            "supported_apis": ["sign-in", "itemUsage", "audit"],
            "collect_from": "30d",
            "store": {"url": store_url},
            "source_id": SOURCE.id,
        }

    def edit(self, **members: Any) -> None:
        self.data |= members

    def document(self, name: str) -> Any:
        self.loads += 1
        if self.failure is not None:
            raise self.failure
        if name != self.data["name"]:
            raise ObjectNotFound(Exception("none"))
        return SimpleNamespace(data=self.data, id=UUID(SOURCE.id))

    def emit(self, events: list[HealthEvent]) -> bool:
        if self.prefect_answers:
            self.published += events
        return self.prefect_answers


@pytest.fixture
def stored(store_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoredBlock]:
    block = StoredBlock(store_url)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    monkeypatch.setattr(source, "_document", block.document)
    monkeypatch.setattr(publish, "emit_to_prefect", block.emit)
    for name in ("_ids", "_of_source", "_shared"):
        monkeypatch.setattr(source, name, {})
    monkeypatch.setattr(source, "_engine", lambda _: engine)
    monkeypatch.setattr(health_spool, "_last_values", {})
    with disable_run_logger():
        yield block
    stopping.requested.clear()
    stopping.end_main_wait()
