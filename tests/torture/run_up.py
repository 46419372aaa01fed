"""The command `up` with a restart delay of one second, however often a process was killed."""

from __future__ import annotations

import sys

from deployments.cli import main
from deployments.one_machine import processes

processes.LONGEST_DELAY = 1.0
sys.argv = ["onepassword-source", "up"]
main()
