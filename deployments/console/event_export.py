"""An export of a search: every event that matches, newest first, in a format of the command `events`, as a stream.

Memory stays constant: a page of events is written when the browser has taken the one before. The browser saves the
file; meanwhile the page asks how many events were written.
"""

from __future__ import annotations

import io
import queue
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from blocks.errors import SourceError
from blocks.store.search.results import search
from blocks.store.source_status import StoredEvent
from deployments.event_formats import write_csv_rows, write_ndjson, write_parquet_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sqlalchemy import Engine

    from blocks.store.search.query import Position, SearchQuery
    from deployments.event_formats import SourcedEvent

MEDIA = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
"""The formats, and the media type of each."""
PAGE = 1000
SEARCH_SECONDS = 5.0
KEPT = 100
QUEUE_MAX = 8  # parts of a file that wait for the browser


@dataclass
class ExportProgress:
    """How far an export is. `ended` and no `error`: the file is complete."""

    written: int = 0
    ended: bool = False
    error: str = ""


class Exports:
    """The progress of the last exports, by the ids that their pages gave them."""

    def __init__(self) -> None:
        self._exports: OrderedDict[str, ExportProgress] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, export_id: str) -> ExportProgress:
        progress = ExportProgress()
        with self._lock:
            self._exports[export_id] = progress
            while len(self._exports) > KEPT:
                self._exports.popitem(last=False)
        return progress

    def find(self, export_id: str) -> ExportProgress | None:
        with self._lock:
            return self._exports.get(export_id)


def export(engine: Engine, query: SearchQuery, form: str, progress: ExportProgress) -> Generator[bytes, None, None]:
    """The parts of the file. An error ends it early, and `progress` says so; the browser sees a broken download."""
    try:
        yield from _WRITERS[form](_events(engine, query, progress))
    except SourceError as error:
        progress.error = error.message
        raise
    except GeneratorExit:
        progress.error = "The browser ended the download."
        raise
    finally:
        progress.ended = True


def _events(engine: Engine, query: SearchQuery, progress: ExportProgress) -> Iterator[list[SourcedEvent]]:
    after: Position | None = None
    while True:
        page = search(engine, query, after, PAGE, SEARCH_SECONDS)
        events = [
            (hit.source, StoredEvent(hit.time_ns, hit.id, hit.api, hit.uuid, hit.received_ns, hit.body))
            for hit in page.events
        ]
        yield events
        progress.written += len(events)
        after = page.after
        if after is None:
            return


def _ndjson(pages: Iterator[list[SourcedEvent]]) -> Iterator[bytes]:
    for events in pages:
        part = io.StringIO()
        write_ndjson((event for _, event in events), part)
        yield _encoded(part)


def _csv(pages: Iterator[list[SourcedEvent]]) -> Iterator[bytes]:
    for number, events in enumerate(pages):
        part = io.StringIO(newline="")
        write_csv_rows(events, part, titles=number == 0)
        yield _encoded(part)


def _encoded(part: io.StringIO) -> bytes:
    return part.getvalue().encode(errors="replace")


def _parquet(pages: Iterator[list[SourcedEvent]]) -> Iterator[bytes]:
    """The writer of Parquet writes to a file; a thread runs it, and this yields what it wrote."""
    pipe = _Pipe()
    writer = threading.Thread(target=pipe.fill, args=(pages,), daemon=True, name="console export")
    writer.start()
    try:
        yield from pipe.parts()
    finally:
        pipe.abandon()
        writer.join()


class _Pipe:
    """A file for one thread that writes, and a bounded queue for another that reads."""

    def __init__(self) -> None:
        self._parts: queue.Queue[bytes | None] = queue.Queue(QUEUE_MAX)
        self._is_abandoned = threading.Event()
        self._error: BaseException | None = None
        self._cause: SourceError | None = None
        self._size = 0

    def fill(self, pages: Iterator[list[SourcedEvent]]) -> None:
        try:
            write_parquet_rows(self._flat(pages), cast("IO[bytes]", self))
        except BaseException as error:  # noqa: BLE001 - raised where the parts are read
            self._error = self._cause or error
        finally:
            self._put(None)

    def _flat(self, pages: Iterator[list[SourcedEvent]]) -> Iterator[SourcedEvent]:
        try:
            for events in pages:
                yield from events
        except SourceError as error:
            self._cause = error  # the writer raises another error in its place
            raise

    def parts(self) -> Iterator[bytes]:
        while (part := self._parts.get()) is not None:
            yield part
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        self._is_abandoned.set()

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._put(part)
        self._size += len(part)
        return len(part)

    def seek(self, *_: int) -> int:
        """The writer requires it, and does not move."""
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def _put(self, part: bytes | None) -> None:
        while not self._is_abandoned.is_set():
            try:
                self._parts.put(part, timeout=0.2)
            except queue.Full:
                continue
            return
        if part is not None:
            raise BrokenPipeError("The browser ended the download.")


_WRITERS: dict[str, Callable[[Iterator[list[SourcedEvent]]], Iterator[bytes]]] = {
    "ndjson": _ndjson,
    "csv": _csv,
    "parquet": _parquet,
}
