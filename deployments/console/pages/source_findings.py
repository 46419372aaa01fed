"""What was found beside a source's events: late, missed and changed ones, and what is not documented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks.store import lifecycle, reconcile_findings
from deployments.console.view import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.view import View

NOT_FOUND = 404


def findings(view: View) -> Response:
    """Reconcile's findings, and the drift of the schema."""
    source = lifecycle.find_by_id(view.reader, view.path("id"))
    if source is None:
        return view.render("error.html", NOT_FOUND, title="Unknown source", message="There is no such source.", hint="")
    return view.render(
        "source_findings.html",
        source=source,
        marked=reconcile_findings.marked_events(view.reader, source.id),
        changed=reconcile_findings.changed_bodies(view.reader, source.id),
        undocumented=reconcile_findings.undocumented_values(view.reader, source.id),
        limit=reconcile_findings.LIMIT,
    )


ROUTES = [Route("/sources/{id}/findings", page(findings))]
