"""Whether the Prefect server answers. What it holds of a source is in `deployed_source`.

Nothing at the top of this module imports Prefect, because `check_server` sets its environment first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import SourceError
from deployments import prefect_session
from deployments.bounded_call import call_within
from deployments.checks.finding import Finding, failed, ok, warning
from deployments.checks.server_findings import (
    APPLY,
    REFUSED,
    RUN_UP,
    STEP,
    ServerFindings,
    not_reached,
    server_label,
    shown_url,
)
from deployments.prefect_api import database, local_files, server_access, up_lock

if TYPE_CHECKING:
    from deployments.prefect_api.server_access import PrefectAccess

HEALTH_SECONDS, READ_SECONDS = 5.0, 12.0
START_SECONDS = 60  # a busy machine takes 40; a server that cannot start ends much earlier
OK = 200


def check_server(name: str) -> ServerFindings:
    """Check the Prefect server. If none runs, a temporary one is started. Bounded in time."""
    try:
        prefect_session.quiet_prefect()
        if server_access.external_url() is None and not _has_local_prefect():
            return not_reached(failed(STEP, "There is no Prefect data on this machine yet.", APPLY), exists=False)
        access = server_access.activate()
        server = _reach(access)
    except SourceError as error:
        return not_reached(failed(STEP, error.message, error.hint))
    if server.result == "failed":
        return not_reached(server)
    try:
        return call_within(READ_SECONDS, lambda: _read_source(name, access, server))
    except TimeoutError:
        text = f"{server_label(access)} did not return its data within {READ_SECONDS:.0f} s."
        return not_reached(failed(STEP, text, f"Check its load and its log. {RUN_UP}"))


def _has_local_prefect() -> bool:
    elsewhere = any(name.endswith("_DATABASE_CONNECTION_URL") for name in os.environ if name.startswith("PREFECT_"))
    return elsewhere or local_files.prefect_database().exists() or database.cluster().is_created


def _reach(access: PrefectAccess) -> Finding:
    if access.kind == "external":
        return _health(access)
    if access.kind == "own":
        return _with_warnings(access, f"that of `up` at {access.url}, which requires the password")
    if up_lock.is_held():
        text = "`up` is running, but its Prefect server does not answer (yet)."
        return failed(STEP, text, f"Wait a minute; then look at {settings.data_dir() / 'server.log'}.")
    return _start(access)


def _health(access: PrefectAccess) -> Finding:
    import httpx  # noqa: PLC0415 - 0.2 s, and comes with Prefect

    try:
        status = call_within(
            HEALTH_SECONDS, lambda: httpx.get(f"{access.url}/health", timeout=HEALTH_SECONDS).status_code
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, TimeoutError):
        text = f"The Prefect server at {shown_url(access)} does not answer."
        return failed(STEP, text, "Check PREFECT_API_URL and that the server runs, or unset it.")
    if status != OK and status not in REFUSED:
        text = f"The Prefect server at {shown_url(access)} answered {status} to a health check."
        return failed(STEP, text, "Check that PREFECT_API_URL ends in /api, and the server's log.")
    return _with_warnings(access, f"that of PREFECT_API_URL, {shown_url(access)}")


def _with_warnings(access: PrefectAccess, text: str) -> Finding:
    if not access.warnings:
        return ok(STEP, text)
    found, _, hint = access.warnings[0].partition(". ")
    return warning(STEP, f"{found}.", hint)


def _start(access: PrefectAccess) -> Finding:
    try:
        prefect_session.start_temporary(START_SECONDS)
    except RuntimeError:  # its text is Prefect's, and holds the output of a process
        text = "None is running, and a temporary one did not start."
        return failed(STEP, text, "Check whether `onepassword-source up` starts, and its server.log.")
    return _with_warnings(access, "none is running; a temporary one was started for this check")


def _read_source(name: str, access: PrefectAccess, server: Finding) -> ServerFindings:
    from deployments.checks.deployed_source import read_source  # noqa: PLC0415 - imports Prefect

    return read_source(name, access, server)
