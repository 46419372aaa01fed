"""The quarantine of a source: look at its items, try them again, or discard them with a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.routing import Route

from blocks.errors import ThirdPartyConfigError
from blocks.store import lifecycle, quarantine
from deployments.console.view import action, page

if TYPE_CHECKING:
    from starlette.responses import Response

    from deployments.console.jobs import Job
    from deployments.console.view import View

NOT_FOUND = 404
REASON_MAX = 500
SHOWN_BYTES = 20_000
_CHOSEN = re.compile(r"item (\d{1,18})")
"""The names of the check boxes."""


def items(view: View) -> Response:
    """The items, a page at a time: `?after=ID`."""
    source = lifecycle.find_by_id(view.reader, view.path("id"))
    if source is None:
        return _unknown(view)
    found = quarantine.list_page(view.reader, source.id, view.query_number("after"))
    return view.render(
        "quarantine.html",
        source=source,
        items=[(one, shown_bytes(one.body)) for one in found],
        total=quarantine.count(view.reader, source.id),
        next=found[-1].id if len(found) == quarantine.PAGE else None,
    )


def shown_bytes(body: bytes) -> str:
    """Bytes as text: what is no UTF-8 is shown as its number."""
    text = body[:SHOWN_BYTES].decode(errors="backslashreplace")
    return f"{text} … ({len(body):,} bytes)" if len(body) > SHOWN_BYTES else text


def act(view: View) -> Response:
    """Try items again, or discard them: the form's `action` is `retry` or `discard`."""
    source = lifecycle.find_by_id(view.reader, view.path("id"))
    word = view.form.get("action", "")
    if source is None or not view.can_act or word not in {"retry", "discard"}:
        return _unknown(view)
    engine, form = view.engine, view.form
    only = None if form.get("all") == "on" else [int(one[1]) for one in map(_CHOSEN.fullmatch, form) if one]
    if only == []:
        raise ThirdPartyConfigError("No item is chosen. Nothing was changed.", code="usage")
    reason = " ".join(form.get("reason", "").split())[:REASON_MAX]
    if word == "discard" and not reason:
        raise ThirdPartyConfigError(
            "There is no reason in the form. Nothing was changed.",
            hint="The reason is recorded, so that others can see why these items are gone.",
            code="usage",
        )

    def retry(_: Job) -> str:
        done = quarantine.retry(engine, source.id, only)
        return f"{done.stored:,} stored as events, {done.known:,} known already, {done.left:,} stay in quarantine."

    def discard(_: Job) -> str:
        number = quarantine.discard(engine, source.id, reason, only)
        return f"{number:,} discarded for good. Their digests and the reason are recorded."

    title, work = ("Try again", retry) if word == "retry" else ("Discard", discard)
    job = view.console.jobs.start(f"{title}: quarantine of {source.name}", view.actor, work)
    return view.redirect(f"/actions/{job.id}", back=f"/sources/{source.id}/quarantine")


def _unknown(view: View) -> Response:
    return view.render("error.html", NOT_FOUND, title="Unknown source", message="There is no such source.", hint="")


ROUTES = [
    Route("/sources/{id}/quarantine", page(items)),
    Route("/sources/{id}/quarantine", action(act), methods=["POST"]),
]
