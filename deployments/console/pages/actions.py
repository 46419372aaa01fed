"""What an operator has started: the page that shows how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from deployments.console.view import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.view import View

NOT_FOUND = 404


def job(view: View) -> Response:
    """One job. The page updates itself while the job runs."""
    found = view.console.jobs.find(view.path("id"))
    return view.render("action.html", NOT_FOUND if found is None else 200, job=found, back=view.query("back") or "/")


ROUTES = [Route("/actions/{id}", page(job))]
