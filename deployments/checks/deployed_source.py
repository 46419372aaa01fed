"""What the Prefect server holds of a source: the block, the schedule, and the worker that runs it.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters, sorting
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException

from blocks import clock, settings
from blocks.command_line import command_line
from blocks.prefect_names import block_name, deployment_name
from blocks.problems import ConfigurationError
from blocks.source import OnePasswordSource
from deployments.checks.finding import Finding, failed, ok, warning
from deployments.checks.server_findings import (
    APPLY,
    REFUSED,
    RUN_UP,
    STEP,
    ServerFindings,
    not_reached,
    server_label,
)
from deployments.prefect_api.templates import POOL_TYPE, work_pool
from deployments.terminal_output import format_time

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Worker
    from prefect.client.schemas.responses import DeploymentResponse

    from deployments.prefect_api.server_access import PrefectAccess

REQUEST_SECONDS = 5.0
HEARTBEATS = 3  # after as many missing heartbeats Prefect too considers a worker gone
HEARTBEAT_SECONDS = 30
JUST_SECONDS = 60.0
EXPECTED_ERRORS = (httpx.HTTPError, PrefectException, RuntimeError, ValueError)


def read_source(name: str, access: PrefectAccess, server: Finding) -> ServerFindings:

    try:
        with get_client(sync_client=True, httpx_settings={"timeout": REQUEST_SECONDS}) as client:
            schedule, runner = _schedule(client, name, access), _runner(client, access)
            configuration, block, exists = _block(client, name)
    except EXPECTED_ERRORS as error:
        return not_reached(failed(STEP, *_explain(access, error)))
    return ServerFindings(server, configuration, schedule, runner, block, exists)


def _block(client: SyncPrefectClient, name: str) -> tuple[Finding, OnePasswordSource | None, bool]:

    try:
        block = _load(client, name)
    except ConfigurationError as error:
        return _invalid(error), None, True
    except ObjectNotFound:
        return failed("configuration", "Prefect has no block of this source.", APPLY), None, False
    except EXPECTED_ERRORS as error:
        hint = f"If the encryption key was replaced, restore it. Otherwise: {APPLY}"
        return failed("configuration", f"The source's block cannot be read ({_reason(error)}).", hint), None, True
    return _configuration(block), block, True


def _load(client: SyncPrefectClient, name: str) -> OnePasswordSource:

    # Not load(), which emits an event: a check must leave nothing behind.
    slug = OnePasswordSource.get_block_type_slug()
    document = client.read_block_document_by_name(block_name(name), slug, include_secrets=True)
    return OnePasswordSource.model_validate(document.data)


def _configuration(block: OnePasswordSource) -> Finding:
    try:
        config = block.validated().config()
    except ConfigurationError as error:
        return _invalid(error)
    if config.warnings:
        return warning("configuration", " ".join(config.warnings), "Apply the source with the right configuration.")
    return ok("configuration", f"valid: {', '.join(config.supported_apis)} from {config.base_url}")


def _invalid(error: ConfigurationError) -> Finding:
    text = " ".join(error.message.split())
    return failed("configuration", text, "Correct it in the Prefect UI under Blocks, or apply the source again.")


def _schedule(client: SyncPrefectClient, name: str, access: PrefectAccess) -> Finding:
    found = _deployment(client, name)
    if found is None:
        return failed("schedule", "There is no deployment of this source.", APPLY)
    active = [one for one in found.schedules if one.active]
    if found.paused or not active:
        text = "The schedule is paused: nothing is collected automatically."
        return failed("schedule", text, f"`{command_line('start', name)}` resumes it.")
    times = ", ".join(_in_words(one.schedule) for one in active)
    if access.kind == "temporary":
        return ok("schedule", f"{times}, while `up` runs")
    following = _next_run(client, found)
    if following is None and _was_just_due(client, found):
        return ok("schedule", f"{times}, the next run is planned within a minute")
    if following is None:
        hint = "Prefect plans runs within a minute. If none appears, check whether its scheduler runs."
        return warning("schedule", f"{times}, but no run is planned.", hint)
    return ok("schedule", f"{times}, next run at {format_time(int(following.timestamp() * 1e9))}")


def _in_words(schedule: object) -> str:
    cron, interval = getattr(schedule, "cron", None), getattr(schedule, "interval", None)
    if interval is not None:
        return f"every {clock.format_span(int(interval.total_seconds()) * 10**9)}"
    return f"{cron} ({getattr(schedule, 'timezone', None) or 'UTC'})" if cron else "by a schedule of your own"


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:

    found = client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=["collect"])),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[deployment_name(name)])),
    )
    return found[0] if found else None


def _next_run(client: SyncPrefectClient, deployment: DeploymentResponse) -> datetime | None:

    planned = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(
            deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployment.id]),
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        ),
        sort=sorting.FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=50,
    )
    times = [run.expected_start_time for run in planned if run.expected_start_time]
    return next((time for time in times if time.timestamp() > clock.now()), None)


def _was_just_due(client: SyncPrefectClient, deployment: DeploymentResponse) -> bool:
    """True if a run was due in the last minute: the scheduler plans the next one only afterwards."""
    since = datetime.fromtimestamp(clock.now() - JUST_SECONDS, UTC)
    due = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(
            deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployment.id]),
            expected_start_time=filters.FlowRunFilterExpectedStartTime(after_=since),
        ),
        limit=1,
    )
    return bool(due)


def _runner(client: SyncPrefectClient, access: PrefectAccess) -> Finding:

    if access.kind == "temporary":
        return failed("runner", "Nothing runs the schedule.", "Start `onepassword-source up`, and leave it running.")
    hint = f"Start one: prefect worker start --pool {work_pool()} --type {POOL_TYPE}"
    if access.kind == "own":
        hint = f"`up` restarts it automatically. If it does not, check {settings.data_dir() / 'worker.log'}."
    try:
        pool = client.read_work_pool(work_pool())
        workers = client.read_workers_for_work_pool(work_pool())
    except ObjectNotFound:
        return failed("runner", f"There is no work pool {work_pool()}.", APPLY)
    if pool.is_paused:
        resume = f"Resume it: prefect work-pool resume {work_pool()}"
        return failed("runner", f"The work pool {work_pool()} is paused.", resume)
    return _worker_finding(workers, hint)


def _worker_finding(workers: list[Worker], hint: str) -> Finding:
    heard = {worker.name: worker.last_heartbeat_time for worker in workers if worker.last_heartbeat_time}
    if not heard:
        return failed("runner", "No worker has ever polled for work.", hint)
    newest = max(heard.values())
    seconds = clock.now() - newest.timestamp()
    beats = next(worker.heartbeat_interval_seconds for worker in workers if worker.last_heartbeat_time == newest)
    span = clock.format_age(int(newest.timestamp() * 1e9))
    if seconds > HEARTBEATS * (beats or HEARTBEAT_SECONDS):
        return failed("runner", f"No worker is alive; the last heartbeat was {span} ago.", hint)
    name = next(name for name, time in heard.items() if time == newest)
    return ok("runner", f"worker {name}, last heartbeat {span} ago")


def _reason(error: Exception) -> str:

    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code}"
    return type(error).__name__


def _explain(access: PrefectAccess, error: Exception) -> tuple[str, str]:

    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    if status in REFUSED:
        return f"{server_label(access)} rejects the password.", "Set PREFECT_API_AUTH_STRING to its user:password."
    return f"{server_label(access)} did not return its data ({_reason(error)}).", RUN_UP
