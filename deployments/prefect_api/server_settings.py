"""Settings of Prefect: what its server keeps, that it reports to no one, and what makes an idle source cheap.

`SERVER` is for our own server and its clients, `RUNS` for the processes of flow runs, `retention()` is how long the
server keeps runs. A server that the user runs keeps its own settings. What depends on secrets and addresses is in
`server_access`.
"""

from __future__ import annotations

import re

from blocks import settings
from blocks.errors import ThirdPartyConfigError

_HOUR = 3600
_DAY = 24 * _HOUR
RUNS_SECONDS_MIN, RUNS_SECONDS_MAX = 12 * _HOUR, 14 * _DAY
EVENTS_SECONDS_MIN, EVENTS_SECONDS_MAX = 3 * _HOUR, 2 * _DAY
RUN_BYTES, EVENT_BYTES = 63_000, 194_000
"""What a run of an idle source takes in Prefect's database, and its events (`tests/benchmarks/fleet.py`)."""
RUNS_ROOM, EVENTS_ROOM = 3 * 10**9, 2 * 10**9
"""So many bytes may the runs and events of many sources take, unless RUNS_KEPT is set."""
_RUNS_A_DAY = 288
_SPAN = re.compile(r"([0-9]{1,4})([hdw])")
_SPAN_UNITS = {"h": _HOUR, "d": _DAY, "w": 7 * _DAY}

SERVER = {
    # Relative, so that the UI requests the origin that it was loaded from.
    "PREFECT_SERVER_UI_API_URL": "/api",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    # A slow machine takes longer than Prefect's 20 seconds to make the database at the first start.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    # The default is memory: a restarted server then loses the slots of healthy runs and ends these.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The guard keeps web pages out. With CSRF support, each client would first request a token.
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    # The automation "dead runs" must not end a run that was planned shortly before it began.
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "deployments.one_machine.event_order",
    # Plan two runs per schedule, not an hour's worth: else the server plans the same twelve runs again each tick.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT0S",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "30",
    # The default is a transaction for each state of each task run. With batches the UI shows them up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    # A run that begins within a minute is not late. Marking it late costs a state, an event and a dozen rows.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
    # No run of ours is ever paused.
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
}

RUNS = {
    # The server belongs to this installation.
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}


def retention(sources: int = 1) -> dict[str, str]:
    """How long our own server keeps flow runs, and Prefect's events: as RUNS_KEPT says, or as `sources` leave room.

    By default Prefect keeps runs for ever and events for a week. With 300 sources, two weeks of runs would take 76 GB.
    Raises ThirdPartyConfigError if the setting is not valid.
    """
    seconds = runs_kept(sources)
    events = _room_for(EVENTS_ROOM, EVENT_BYTES, sources, EVENTS_SECONDS_MIN, EVENTS_SECONDS_MAX)
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(seconds),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{min(seconds, events)}S",
    }


def runs_kept(sources: int) -> int:
    """How long Prefect keeps runs, in seconds. Raises ThirdPartyConfigError where the setting is no span over 1 h."""
    named = settings.read("RUNS_KEPT")
    if not named:
        return _room_for(RUNS_ROOM, RUN_BYTES, sources, RUNS_SECONDS_MIN, RUNS_SECONDS_MAX)
    found = _SPAN.fullmatch(named)
    seconds = int(found[1]) * _SPAN_UNITS[found[2]] if found else 0
    if seconds <= _HOUR:
        raise ThirdPartyConfigError(
            f"{settings.PREFIX}RUNS_KEPT is {named!r}.",
            hint="Set it to a time of more than an hour, such as 12h, 14d or 8w.",
            code="setting",
        )
    return seconds


def _room_for(room: int, size: int, sources: int, least: int, most: int) -> int:
    """The seconds whose runs fit into so many bytes, to the hour."""
    hours = room * 24 // (size * _RUNS_A_DAY * max(sources, 1))
    return min(max(hours * _HOUR, least), most)
