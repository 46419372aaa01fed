"""How many runs a worker starts at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.one_machine.run_limit import LIMITS, RUN_BYTES, RUNS_LEAST, limit_files, runs_at_once


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


def test_the_limit_of_a_service_of_systemd_applies_and_those_of_the_groups_above(tmp_path: Path) -> None:
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    service = groups / "system.slice" / "x.service"
    service.mkdir(parents=True)
    own.write_text("1:name=systemd:/other\n0::/system.slice/x.service\n")
    (service / "memory.max").write_text(f"{20 * RUN_BYTES}\n")
    assert runs_at_once(limit_files(groups, own)) == 10
    (service.parent / "memory.max").write_text(f"{18 * RUN_BYTES}\n")
    assert runs_at_once(limit_files(groups, own)) == 9
    (groups / "memory.max").write_text(f"{16 * RUN_BYTES}\n")
    assert runs_at_once(limit_files(groups, own)) == RUNS_LEAST
    assert limit_files(groups, tmp_path / "none") == [groups / "memory.max", groups / "memory/memory.limit_in_bytes"]
