"""The command `up`, which starts what was killed again after a second, however often that happens."""

from __future__ import annotations

import sys

from deployments import processes
from deployments.cli import main

processes.LONGEST_DELAY = 1.0
sys.argv = ["onepassword-source", "up"]
main()
