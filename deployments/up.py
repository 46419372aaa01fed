"""Prefect on one machine: its server with the UI, a work pool, the deployments and their worker, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError
from deployments import deploy, prefect_access, runs
from deployments.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from prefect.client.orchestration import SyncPrefectClient

START_SECONDS = 180.0
RUNS_SECONDS = 15.0
WORKER_SECONDS = 5.0
SERVER_SECONDS = 10.0
LOG_BYTES = 5_000_000

Say = "Callable[[str], None]"
