"""Settings of Prefect that make an idle source cheap: all of them documented by Prefect, none of them changes a result.

`SERVER` is for our own server and for whatever speaks to it, `RUNS` for the processes of flow runs. A server of the
user's own keeps its settings.
"""

from __future__ import annotations

SERVER = {
    # The guard keeps web pages out; without this, each client first asks for a token that there is not.
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    # It must not take a run for dead that was planned shortly before it began.
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "deployments.one_machine.event_order",
    # Two planned runs for each schedule, not an hour's worth: the server does not plan the same twelve runs again after
    # every tick.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT0S",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "30",
    # By default a transaction for each state of each task run. Now the UI shows them up to five seconds later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "100",
    # A run that begins within a minute is not late: to call it so takes a state, an event and a dozen rows.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
    # No run of ours is ever paused.
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
}

RUNS = {
    # The server is that of this very installation.
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}
