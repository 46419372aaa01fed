"""The page of all SIEMs: a row for each pair of a SIEM and a source."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.routing import Route

from deployments.console.pair_rows import ORDER, pair_rows
from deployments.console.view import matches, page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.view import View


def siems(view: View) -> Response:
    """All pairs, or those of `?state=` and `?q=`."""
    rows = pair_rows(view.reader, view.console.rates)
    counts = Counter(row.state for row in rows)
    shown = [
        row
        for row in rows
        if view.query("state") in {"", row.state}
        and matches(view.query("q"), row.pair.siem, row.pair.kind, row.pair.source)
    ]
    return view.render(
        "siems.html",
        rows=shown,
        counts=[(word, counts[word]) for word in ORDER if counts[word]],
        total=len(rows),
        wanted=view.query("state"),
        search=view.query("q"),
    )


ROUTES = [Route("/siems", page(siems))]
