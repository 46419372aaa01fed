"""A flow run in a process that the fork server has forked: what it imports, and how the fork becomes the run.

The fork server imports this module once, so that its runs share the memory of the imports. Prefect's settings are
read again in each fork, from the environment of the run.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sqlite3  # noqa: F401 - for the run
import sys
import time
from typing import Any

import jwt  # noqa: F401 - for the run
import prefect.flow_engine
import prefect.runner
import prefect.task_engine
import prefect.utilities.visualization  # noqa: F401 - for the run
from prefect.context import refresh_global_settings_context
from prefect.logging.configuration import setup_logging

import flows.backfill
import flows.collect
import flows.forward
import flows.prune
import flows.reconcile  # noqa: F401 - for the run
from deployments.one_machine.related_objects import cache_related

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that the fork server handles or ignores."""


def become_run(request: dict[str, Any]) -> None:
    """Be `python -m prefect.engine` with the environment of the request."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    refresh_global_settings_context()
    setup_logging(incremental=False)
    cache_related(request.get("related", ()))
    gc.enable()
    sys.argv = ["prefect.engine"]
    sys.modules.pop("prefect.engine", None)  # runpy warns of a module that was imported before
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
