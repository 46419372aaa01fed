"""A store that is filled page by page through the product's commit, and functions that tamper with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from support.values import SOURCE
from whenever import Instant

from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.store import pages, streams
from blocks.store.integrity import verification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

START_NS = 1_700_000_000 * 10**9


def event(api: str, number: int, more: str = "") -> Event:
    """An event whose body has its uuid and time, as the server sends it."""
    time_ns, uuid = START_NS + number * 1_000_000_007, f"{api}-{number:06}"
    when = Instant.from_timestamp(time_ns, unit="nanosecond").format_iso()
    return Event(uuid, time_ns, f'{{"uuid": "{uuid}", "timestamp": "{when}", "note": "é{more}"}}')


@dataclass
class Filled:
    """What was committed to the streams of SOURCE."""

    engine: Engine
    claims: dict[Api, StreamClaim] = field(default_factory=dict)
    cursors: dict[Api, str | None] = field(default_factory=dict)
    numbers: dict[Api, int] = field(default_factory=dict)

    def of(self, engine: Engine) -> Filled:
        """The same in a copy of the store."""
        return Filled(engine, {**self.claims}, {**self.cursors}, {**self.numbers})

    def commit(self, api: Api, new: int, *, known: int = 0, rejected: int = 0, version: str = "v2") -> None:
        """Commit a page with `new` events, `known` ones that were committed before, and `rejected` invalid items."""
        number = self.numbers.get(api, 0)
        # known events stand between new ones, so that positions in the page differ from positions in the link
        events = [event(api, n) for n in range(number, number + new)]
        events[1:1] = [event(api, n, "again") for n in range(max(number - known, 0), number)]
        aside = [InvalidItem("no uuid", f'{{"aside": "{api} {number + n}"}}'.encode()) for n in range(rejected)]
        page = Page(f"{api}{number}-{new}-{known}-{rejected}", has_more=False, events=events, invalid_items=aside)
        after = self.cursors.get(api)
        pages.commit_page(self.engine, self._claim(api), page, after=after, api_version=version)
        self.cursors[api], self.numbers[api] = page.cursor, number + new

    def _claim(self, api: Api) -> StreamClaim:
        if api not in self.claims:
            view = streams.of_source(self.engine, SOURCE.id, (api,))[0]
            taken = streams.acquire(self.engine, view, "filler", by_force=True)
            assert taken
            self.claims[api] = taken
        return self.claims[api]

    def id_of(self, api: Api) -> int:
        return self._claim(api).stream_id

    def change(self, *statements: str, **values: Any) -> None:
        """Tamper with the database. `{audit}` is the id of the audit stream, `{third[1]}` the id of the
        second event of the third link.
        """
        names = {"audit": self.id_of(Api.AUDIT), "sign_in": self.id_of(Api.SIGN_IN), "third": self.ids(3)}
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement.format(**names)), values)

    def ids(self, link: int, api: Api = Api.AUDIT) -> list[int]:
        """The ids of the events in a link of the hash chain."""
        rows = self.ask(
            "SELECT e.id FROM chain c JOIN events e ON e.stream_id = c.stream_id AND e.id BETWEEN first_id AND last_id "
            f"WHERE c.stream_id = {self.id_of(api)} AND number = {link} ORDER BY e.id"
        )
        return [id_ for (id_,) in rows]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [
                tuple(row) for row in connection.execute(text(query.replace("{audit}", str(self.id_of(Api.AUDIT)))))
            ]

    def prove(self) -> dict[str, verification.ChainReport]:
        return {found.api: found for found in verification.verify(self.engine, SOURCE.id)}

    def damaged(self) -> dict[str, tuple[int, str] | None]:
        """By API: the first damaged link and the kind of damage; None for an intact chain."""
        found = self.prove().items()
        return {api: (one.first.link, one.first.kind) if one.first else None for api, one in found}


def fill(engine: Engine, sizes: Sequence[int] = (5, 1, 4, 6, 3, 5)) -> Filled:
    """Commit pages of these sizes to the three streams in turn; some also have known events or invalid items."""
    filled = Filled(engine)
    for turn, size in enumerate(sizes):
        for api in Api:
            filled.commit(api, size, known=turn % 3, rejected=turn == 2)
    return filled
