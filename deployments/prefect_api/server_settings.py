"""Settings of Prefect that make an idle source cheap. Prefect documents all of them, and none changes a result.

`SERVER` is for our own server and its clients, `RUNS` for the processes of flow runs. A server that the user runs keeps
its own settings.
"""

from __future__ import annotations

SERVER = {
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
