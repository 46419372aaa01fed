"""The configuration of a source as a file: what `onepassword-source export` writes, without the token."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response
from starlette.routing import Route

from blocks.config.source_file import to_json
from blocks.store import audit_log, lifecycle
from deployments import deferred
from deployments.console.view import action

if TYPE_CHECKING:
    from deployments.console.view import View

NOT_FOUND = 404


def export(view: View) -> Response:
    """The JSON that `apply` reads, with the token masked."""
    source = lifecycle.find_by_id(view.reader, view.path("id"))
    if source is None or not view.can_act:
        return view.render("error.html", NOT_FOUND, title="Unknown source", message="There is no such source.", hint="")
    text = to_json(deferred.lifecycle.locate(source.name).valid_block().config(), mask=True)
    with audit_log.acting_as(view.actor):
        audit_log.append(view.engine, "export", source.id, source.name)
    attachment = f"attachment; filename*=UTF-8''{quote(source.name, safe='')}.json"
    return Response(text, media_type="application/json", headers={"Content-Disposition": attachment})


ROUTES = [Route("/sources/{id}/export.json", action(export))]
