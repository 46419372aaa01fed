"""`onepassword-source reconcile`: run the flow in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks import clock
from blocks.durations import parse_last
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from deployments import deferred
from deployments.commands.support.job_progress import run_job
from deployments.commands.support.options import Apis, Json, Name
from deployments.commands.support.usage import usage_error

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

DETAILS = "Missing events are stored and counted as late or missed; changed bodies are recorded."


def command(
    name: Name,
    last: Annotated[str, typer.Option(metavar="TIME", help="How far back: 48h, 7d.")] = "48h",
    api: Apis = None,
    as_json: Json = False,
) -> int:
    """Reconcile once. Returns 0 on success, 1 on failure, 130 if it was stopped.

    Raises ThirdPartyConfigError with all problems of the options.
    """
    apis = api or []
    problems = [f"--api takes {', '.join(Api)}, not {api}" for api in apis if api not in set(Api)]
    try:
        parse_last(last, clock.now_ns())
    except ThirdPartyConfigError as error:
        problems.append(error.message.rstrip("."))
    if problems:
        raise usage_error("reconcile", *problems)
    return run_job(name, lambda: _reconcile(name, last, apis), as_json=as_json)


def _reconcile(name: str, last: str, apis: list[str]) -> State[Any]:
    state: State[Any] = deferred.reconcile.reconcile(name, last, apis or None, return_state=True)
    return state
