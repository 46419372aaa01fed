"""The Prefect server, and what it holds of a source: the block, the schedule, and the worker that runs it.

Prefect is imported inside the functions, because `check_server` sets its environment first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blocks import clock, settings
from blocks.command_line import command_line
from blocks.errors import SourceError
from blocks.prefect_names import block_name, deployment_name
from blocks.problems import ConfigurationError
from deployments import prefect_session
from deployments.bounded_call import call_within
from deployments.checks.finding import Finding, failed, not_checked, ok, warning
from deployments.prefect_api import database, local_files, server_access, up_lock
from deployments.terminal_output import format_time

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Worker
    from prefect.client.schemas.responses import DeploymentResponse

    from blocks.source import OnePasswordSource
    from deployments.prefect_api.server_access import PrefectAccess

HEALTH_SECONDS, READ_SECONDS = 5.0, 12.0
START_SECONDS = 60  # a busy machine takes 40; a server that cannot start ends much earlier
HEARTBEATS = 3  # after as many missing heartbeats Prefect too considers a worker gone
HEARTBEAT_SECONDS = 30
JUST_SECONDS = 60.0
OK, REFUSED = 200, (401, 403)
STEP = "Prefect server"
_RUN_UP = "Start `onepassword-source up`, or contact the person who runs the server."
_APPLY = "Apply the source again: `onepassword-source apply FILE`."


@dataclass(frozen=True, slots=True)
class ServerFindings:
    """The findings, and the block of the source if there is one, valid or not.

    `exists` is False only if the server has answered that there is no such source.
    """

    server: Finding
    configuration: Finding
    schedule: Finding
    runner: Finding
    block: OnePasswordSource | None = field(default=None, repr=False)
    exists: bool = True


def check_server(name: str) -> ServerFindings:
    """Check the Prefect server. If none runs, a temporary one is started. Bounded in time."""
    try:
        prefect_session.quiet_prefect()
        if server_access.external_url() is None and not _has_local_prefect():
            return _not_reached(failed(STEP, "There is no Prefect data on this machine yet.", _APPLY), exists=False)
        access = server_access.activate()
        server = _reach(access)
    except SourceError as error:
        return _not_reached(failed(STEP, error.message, error.hint))
    if server.result == "failed":
        return _not_reached(server)
    try:
        return call_within(READ_SECONDS, lambda: _read(name, access, server))
    except TimeoutError:
        text = f"{_where(access)} did not return its data within {READ_SECONDS:.0f} s."
        return _not_reached(failed(STEP, text, f"Check its load and its log. {_RUN_UP}"))


def _not_reached(server: Finding, *, exists: bool = True) -> ServerFindings:
    why = "the Prefect server was not reached"
    configuration, schedule, runner = (not_checked(step, why) for step in ("configuration", "schedule", "runner"))
    return ServerFindings(server, configuration, schedule, runner, exists=exists)


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
        text = f"The Prefect server at {_shown_url(access)} does not answer."
        return failed(STEP, text, "Check PREFECT_API_URL and that the server runs, or unset it.")
    if status != OK and status not in REFUSED:
        text = f"The Prefect server at {_shown_url(access)} answered {status} to a health check."
        return failed(STEP, text, "Check that PREFECT_API_URL ends in /api, and the server's log.")
    return _with_warnings(access, f"that of PREFECT_API_URL, {_shown_url(access)}")


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


def _read(name: str, access: PrefectAccess, server: Finding) -> ServerFindings:
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    try:
        with get_client(sync_client=True, httpx_settings={"timeout": HEALTH_SECONDS}) as client:
            schedule, runner = _schedule(client, name, access), _runner(client, access)
            configuration, block, exists = _block(client, name)
    except _expected_errors() as error:
        return _not_reached(failed(STEP, *_explain(access, error)))
    return ServerFindings(server, configuration, schedule, runner, block, exists)


def _block(client: SyncPrefectClient, name: str) -> tuple[Finding, OnePasswordSource | None, bool]:
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415 - see the module's docstring

    try:
        block = _load(client, name)
    except ConfigurationError as error:
        return _invalid(error), None, True
    except ObjectNotFound:
        return failed("configuration", "Prefect has no block of this source.", _APPLY), None, False
    except _expected_errors() as error:
        hint = f"If the encryption key was replaced, restore it. Otherwise: {_APPLY}"
        return failed("configuration", f"The source's block cannot be read ({_reason(error)}).", hint), None, True
    return _configuration(block), block, True


def _load(client: SyncPrefectClient, name: str) -> OnePasswordSource:
    from blocks.source import OnePasswordSource  # noqa: PLC0415 - imports Prefect

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
        return failed("schedule", "There is no deployment of this source.", _APPLY)
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
    from prefect.client.schemas import filters  # noqa: PLC0415 - see the module's docstring

    found = client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=["collect"])),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[deployment_name(name)])),
    )
    return found[0] if found else None


def _next_run(client: SyncPrefectClient, deployment: DeploymentResponse) -> datetime | None:
    from prefect.client.schemas import filters, sorting  # noqa: PLC0415 - see the module's docstring
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415

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
    from prefect.client.schemas import filters  # noqa: PLC0415 - see the module's docstring

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
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415 - see the module's docstring

    from deployments.prefect_api.deployment_specs import POOL_TYPE, work_pool  # noqa: PLC0415

    if access.kind == "temporary":
        return failed("runner", "Nothing runs the schedule.", "Start `onepassword-source up`, and leave it running.")
    hint = f"Start one: prefect worker start --pool {work_pool()} --type {POOL_TYPE}"
    if access.kind == "own":
        hint = f"`up` restarts it automatically. If it does not, check {settings.data_dir() / 'worker.log'}."
    try:
        pool = client.read_work_pool(work_pool())
        workers = client.read_workers_for_work_pool(work_pool())
    except ObjectNotFound:
        return failed("runner", f"There is no work pool {work_pool()}.", _APPLY)
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


def _where(access: PrefectAccess) -> str:
    return f"The Prefect server at {_shown_url(access)}" if access.url else "The temporary Prefect server"


def _shown_url(access: PrefectAccess) -> str:
    """The URL without user and password, which some URLs hold."""
    scheme, _, rest = (access.url or "").partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _expected_errors() -> tuple[type[Exception], ...]:
    import httpx  # noqa: PLC0415 - comes with Prefect
    from prefect.exceptions import PrefectException  # noqa: PLC0415

    return (httpx.HTTPError, PrefectException, RuntimeError, ValueError)


def _reason(error: Exception) -> str:
    import httpx  # noqa: PLC0415 - comes with Prefect

    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code}"
    return type(error).__name__


def _explain(access: PrefectAccess, error: Exception) -> tuple[str, str]:
    import httpx  # noqa: PLC0415 - comes with Prefect

    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    if status in REFUSED:
        return f"{_where(access)} rejects the password.", "Set PREFECT_API_AUTH_STRING to its user:password."
    return f"{_where(access)} did not return its data ({_reason(error)}).", _RUN_UP
