"""The command `up`, which starts what was killed again after a second, however often that happens."""

from __future__ import annotations

import sys

from deployments.cli import main
from deployments.one_machine import processes

processes.LONGEST_DELAY = 1.0
sys.argv = ["onepassword-source", "up"]
main()
