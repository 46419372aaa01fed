"""An export streams, says how far it is, and ends with an error where the store does."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pytest
from support.indexed_events import NOON_NS, CollectedEvents, index_all
from support.indexed_events import event as made_event

from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api
from blocks.store.search.query import SearchQuery
from deployments.console import event_export
from deployments.console.event_export import KEPT, MEDIA, ExportProgress, Exports, export

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(event_export, "PAGE", 10)
    collected = CollectedEvents(engine)
    collected.add(Api.AUDIT, *(made_event(f"A{n:02}", NOON_NS + n, {"x": "é"}) for n in range(35)))
    index_all(engine)
    return engine


def test_parts_are_made_as_they_are_taken(filled: Engine) -> None:
    progress = ExportProgress()
    parts = export(filled, SearchQuery(), "ndjson", progress)
    assert next(parts).count(b"\n") == 10
    assert (progress.written, progress.ended) == (0, False)
    assert sum(part.count(b"\n") for part in parts) == 25
    assert (progress.written, progress.ended, progress.error) == (35, True, "")


@pytest.mark.parametrize("form", MEDIA)
def test_an_error_ends_the_file_and_is_said(filled: Engine, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = event_export.search, 0

    def fail(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise FirstPartyGenericError("The store did not answer.", hint="", code="store")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(event_export, "search", fail)
    progress = ExportProgress()
    with pytest.raises(FirstPartyGenericError):
        list(export(filled, SearchQuery(), form, progress))
    assert (progress.ended, progress.error) == (True, "The store did not answer.")


def test_an_export_that_the_browser_ends_leaves_no_thread(filled: Engine) -> None:
    io_ = pytest.importorskip("arro3.io")
    progress = ExportProgress()
    parts = export(filled, SearchQuery(), "parquet", progress)
    whole = next(parts) + b"".join(parts)
    assert io_.read_parquet(io.BytesIO(whole)).read_all().num_rows == 35
    ended = export(filled, SearchQuery(), "parquet", progress)
    next(ended)
    ended.close()
    assert (progress.ended, progress.error) == (True, "The browser ended the download.")
    assert not [thread for thread in threading.enumerate() if thread.name == "console export"]


def test_the_last_exports_are_remembered() -> None:
    exports = Exports()
    for number in range(KEPT + 1):
        exports.begin(str(number)).written = number
    assert exports.find("0") is None
    last = exports.find(str(KEPT))
    assert last is not None
    assert last.written == KEPT
