"""The service that `install-service` writes: analysed by systemd, and run by a systemd of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from install import systemd_machine
from install.systemd_machine import SystemdMachine
from support.command_calls import source_config

from blocks import json_log
from deployments.sandbox.process import running_sandbox
from deployments.service.unit_files import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPOSURE = 2.0
NAME = "onepassword-source"
PROGRAM = f"/opt/{NAME}/bin/{NAME}"
DATA = f"/var/lib/{NAME}"


def analyze(*arguments: str | Path) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    command = ["systemd-analyze", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_unit_is_valid_and_closed(tmp_path: Path) -> None:
    service = Service(NAME, Path("/bin/true"), root=tmp_path)
    unit = tmp_path / f"{NAME}.service"
    unit.write_text(service.files()[-1].content)
    assert analyze("verify", unit) == ""
    shown = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", "--no-pager", unit)
    exposure = float(next(line for line in shown.splitlines() if "Overall exposure" in line).split(":")[1].split()[0])
    assert exposure <= EXPOSURE


@pytest.fixture
def packages(tmp_path: Path, cache: Path, wheel: Path) -> Path:
    """What the wheel needs, for the Python of /usr."""
    if reason := systemd_machine.unavailable_reason():
        pytest.skip(reason)
    target = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "--python", systemd_machine.PYTHON, "--cache-dir", cache / "pip", "--quiet"]
    subprocess.run([*pip, "install", "--target", target, wheel, "pip"], check=True)
    return target


@pytest.fixture
def booted(tmp_path: Path, wheel: Path, packages: Path) -> Iterator[SystemdMachine]:
    """A machine on which the wheel and its service are installed, as the page docs/install/systemd.md says."""
    tmp_path.chmod(0o755)
    machine = SystemdMachine(tmp_path / "machine", packages)
    shutil.copy(wheel, machine.root / "opt")
    (machine.root / "opt" / "setup.sh").write_text(
        f"set -eu\n/usr/bin/python3 -m venv --without-pip /opt/{NAME}\n"
        f"echo /packages > $(echo /opt/{NAME}/lib/python3.*/site-packages)/packages.pth\n"
        f"PYTHONPATH=/packages /opt/{NAME}/bin/python -m pip install --quiet --no-deps --no-index --ignore-installed"
        f" --root-user-action=ignore --disable-pip-version-check /opt/{wheel.name}\n"
        f"{PROGRAM} install-service\nsystemd-sysusers {NAME}.conf\nsystemctl enable {NAME}\n"
        f"mkdir -m 0700 /etc/credstore /etc/systemd/system/{NAME}.service.d\n"
        f"printf '[Service]\\nWatchdogSec=10\\nRestartSec=1\\n' > /etc/systemd/system/{NAME}.service.d/tests.conf\n"
        f"echo ONEPASSWORD_SOURCE_LOG_FORMAT=json >> /etc/{NAME}/environment\n"
        f"echo sqlite:///{DATA}/from-a-credential.db > /etc/credstore/{NAME}.database-url\n"
    )
    (machine.root / "opt" / "setup.sh").chmod(0o755)
    machine.run_before_boot("/bin/sh", "/opt/setup.sh")
    try:
        machine.boot()
        yield machine
    finally:
        machine.end()


def call_as_service(machine: SystemdMachine, *arguments: str, given: str = "") -> str:
    """A command with the service's user, data and settings: the one of docs/install/systemd.md."""
    return machine.call(
        "systemd-run", "--pipe", "--wait", "--collect", "--quiet", f"--uid={NAME}", f"--working-directory={DATA}",
        "-E", f"ONEPASSWORD_SOURCE_DATA_DIR={DATA}", "-p", f"EnvironmentFile=-/etc/{NAME}/environment",
        "-p", f"LoadCredential=database-url:{NAME}.database-url", PROGRAM, *arguments, given=given,
    )  # fmt: skip


def show(machine: SystemdMachine, property_: str) -> str:
    return machine.call("systemctl", "show", "--value", f"--property={property_}", NAME).strip()


def test_systemd_service_collects_is_watched_and_stops(booted: SystemdMachine) -> None:
    booted.wait(lambda: show(booted, "ActiveState") in {"active", "failed"}, 300)
    assert show(booted, "ActiveState") == "active", booted.journal()
    assert_is_confined(booted)
    with running_sandbox() as api:
        document = {"source": source_config("machine", api)}
        call_as_service(booted, "apply", "-", given=json.dumps(document))
        booted.wait(lambda: stored(booted) > 0, 180)
    assert (booted.root / f"{DATA}/from-a-credential.db".lstrip("/")).exists()
    assert_is_watched(booted)
    booted.call("systemctl", "stop", NAME)
    assert show(booted, "Result") == "success", booted.journal("--lines=50")
    assert_is_logged(booted)


def assert_is_confined(booted: SystemdMachine) -> None:
    """Every process has the service's user, seccomp, and no way to more rights. PostgreSQL is one of them."""
    pids = booted.call("cat", f"/sys/fs/cgroup/system.slice/{NAME}.service/cgroup.procs").split()
    names = {booted.call("cat", f"/proc/{pid}/comm", check=False).strip() for pid in pids}
    assert "postgres" in names, names
    assert booted.call("stat", "--format=%U", *(f"/proc/{pid}" for pid in pids), check=False).split() == [NAME] * len(
        pids
    )
    for pid in pids:
        status = booted.call("cat", f"/proc/{pid}/status")
        assert "NoNewPrivs:\t1\n" in status
        assert "Seccomp:\t2\n" in status
        assert "CapBnd:\t0000000000000000\n" in status


def assert_is_logged(booted: SystemdMachine) -> None:
    """The journal has the rounds as objects, the level of each line, and no password."""
    lines = booted.journal("--unit", NAME, f"--identifier={NAME}", "--output=json").splitlines()
    entries = [json.loads(line) for line in lines]
    written = [(int(entry["PRIORITY"]), json.loads(entry["MESSAGE"])) for entry in entries]
    assert {"starting", "ready", "login", "collected", "stopped"} <= {members["event"] for _, members in written}
    assert all(json_log.LEVELS[members["level"]] == priority for priority, members in written)
    secrets = json.loads((booted.root / f"{DATA}/secrets.json".lstrip("/")).read_bytes())
    assert secrets["api_password"] not in "".join(lines)


def assert_is_watched(booted: SystemdMachine) -> None:
    """systemd ends and restarts an `up` whose main loop hangs."""
    pid = show(booted, "MainPID")
    booted.call("kill", "-STOP", pid)
    booted.wait(lambda: show(booted, "MainPID") not in {pid, "0"} and show(booted, "ActiveState") == "active", 300)
    assert "Watchdog timeout" in booted.journal("--unit", NAME)


def stored(booted: SystemdMachine) -> int:
    (source,) = json.loads(call_as_service(booted, "list", "--json"))
    return int(source["events"])
