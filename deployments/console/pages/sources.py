"""The first page: a row for each source."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks.errors import ThirdPartyConfigError
from blocks.store import sources as stored
from blocks.store.source_status import NO_STORE
from deployments import up_health
from deployments.console.source_rows import ORDER, source_rows
from deployments.console.view import matches, page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.source_rows import SourceRow
    from deployments.console.view import View

STRIPS_MAX = 50
"""Strips of one request. The page requests the others in further ones."""


def sources(view: View) -> Response:
    """All sources, or those of `?health=` and `?q=`."""
    rows = _rows(view)
    counts = Counter(row.health for row in rows)
    shown = [row for row in rows if _is_wanted(row, view.query("health"), view.query("q"))]
    return view.render(
        "sources.html",
        rows=shown,
        counts=[(word, counts[word]) for word in ORDER if counts[word]],
        total=len(rows),
        wanted=view.query("health"),
        search=view.query("q"),
        troubles=[one for one in up_health.troubles_now() if one.what != "runs"],
    )


def _rows(view: View) -> list[SourceRow]:
    """Before the first source there may be no store."""
    try:
        return source_rows(view.engine, with_deleted=view.query("health") == "deleted")
    except ThirdPartyConfigError as error:
        if error.code != NO_STORE:
            raise
        return []


def strips(view: View) -> Response:
    """The coverage strips of the sources `?ids=a,b`, as rows of a fragment."""
    ids = view.query("ids").split(",")[:STRIPS_MAX]
    named = stored.names_by_id(view.engine)
    found = [
        (source_id, view.console.strips.strip(view.engine, source_id, named[source_id]))
        for source_id in ids
        if source_id in named
    ]
    return view.render("strips.html", strips=found)


def _is_wanted(row: SourceRow, health: str, search: str) -> bool:
    if health and row.health != health:
        return False
    return matches(search, row.source.name, row.source.base_url, row.source.account_uuid or "")


ROUTES = [Route("/", page(sources)), Route("/strips", page(strips))]
