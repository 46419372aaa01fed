"""A schedule of `prune` is read before Prefect is imported: later, `prune --schedule` could not start its server."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.paths import ROOT

from blocks.errors import ThirdPartyConfigError
from deployments import prune_schedule

CODE = """
import sys
from deployments.commands import prune
prune.prune_schedule.cron("daily")
sys.exit("prefect" in sys.modules)
"""


def test_a_schedule_is_a_cron_line() -> None:
    assert prune_schedule.cron("daily") == "17 3 * * *"


def test_an_unknown_schedule_names_the_known_ones() -> None:
    with pytest.raises(ThirdPartyConfigError, match="daily, weekly, monthly, not 'hourly'"):
        prune_schedule.cron("hourly")


@pytest.mark.processes
def test_reading_it_does_not_import_prefect() -> None:
    assert subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, check=False).returncode == 0
