"""How many runs a worker starts at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.one_machine.run_limit import LIMITS, RUN_BYTES, RUNS_LEAST, runs_at_once


@pytest.mark.parametrize("name", [path.name for path in LIMITS])
def test_no_more_runs_are_started_than_half_of_the_memory_holds(tmp_path: Path, name: str) -> None:
    cgroup = tmp_path / name
    of_machine = runs_at_once([cgroup])
    assert of_machine >= RUNS_LEAST
    cgroup.write_text("max\n")
    assert runs_at_once([cgroup]) == of_machine
    cgroup.write_text(f"{20 * RUN_BYTES}\n")
    assert runs_at_once([tmp_path / "none", cgroup]) == 10
    cgroup.write_text("1000000\n")
    assert runs_at_once([cgroup]) == RUNS_LEAST
