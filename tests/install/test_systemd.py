"""The service that `install-service` writes: analysed by systemd, and run by a systemd of its own."""

from __future__ import annotations

import json
import os
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


def test_systemd_unit_of_a_user_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    service = Service(NAME, Path("/bin/true"), is_user=True, config_home=tmp_path)
    unit = tmp_path / f"{NAME}.service"
    unit.write_text(service.files()[-1].content)
    assert analyze("--user", "verify", unit) == ""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, cache: Path, wheel: Path) -> Path:
    """What the wheel needs, for the Python of /usr."""
    if reason := systemd_machine.unavailable_reason():
        pytest.skip(reason)
    target = tmp_path_factory.mktemp("packages")
    target.chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--python", systemd_machine.PYTHON, "--cache-dir", cache / "pip", "--quiet"]
    subprocess.run([*pip, "install", "--target", target, wheel, "pip"], check=True)
    return target


@pytest.fixture
def machine(tmp_path: Path, wheel: Path, packages: Path) -> Iterator[SystemdMachine]:
    """A machine on which the wheel is installed. It is not booted yet."""
    tmp_path.chmod(0o755)
    found = SystemdMachine(tmp_path / "machine", packages)
    shutil.copy(wheel, found.root / "opt")
    run_script(
        found,
        f"/usr/bin/python3 -m venv --without-pip /opt/{NAME}",
        f"echo /packages > $(echo /opt/{NAME}/lib/python3.*/site-packages)/packages.pth",
        f"PYTHONPATH=/packages /opt/{NAME}/bin/python -m pip install --quiet --no-deps --no-index --ignore-installed"
        f" --root-user-action=ignore --disable-pip-version-check /opt/{wheel.name}",
    )
    try:
        yield found
    finally:
        found.end()


def run_script(machine: SystemdMachine, *lines: str) -> None:
    """Run lines of a shell in a machine that is not booted."""
    script = machine.root / "opt" / "setup.sh"
    script.write_text("\n".join(["set -eu", *lines, ""]))
    machine.run_before_boot("/bin/sh", "/opt/setup.sh")


@pytest.fixture
def booted(machine: SystemdMachine) -> SystemdMachine:
    """The machine with its service, installed as the page docs/install/systemd.md says."""
    run_script(
        machine,
        f"{PROGRAM} install-service",
        f"systemd-sysusers {NAME}.conf",
        f"systemctl enable {NAME}",
        f"mkdir -m 0700 /etc/credstore /etc/systemd/system/{NAME}.service.d",
        f"printf '[Service]\\nWatchdogSec=10\\nRestartSec=1\\n' > /etc/systemd/system/{NAME}.service.d/tests.conf",
        f"echo ONEPASSWORD_SOURCE_LOG_FORMAT=json >> /etc/{NAME}/environment",
        f"echo sqlite:///{DATA}/from-a-credential.db > /etc/credstore/{NAME}.database-url",
    )
    machine.boot()
    return machine


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


MANAGER = """[Service]
Type=notify
User=someone
Delegate=yes
RuntimeDirectory=someone
Environment=HOME=/home/someone XDG_RUNTIME_DIR=/run/someone
ExecStart=/usr/lib/systemd/systemd --user
"""
"""A manager of a user, as logind starts one."""


def test_systemd_service_of_a_user_collects(machine: SystemdMachine) -> None:
    with (machine.root / "etc/passwd").open("a") as file:
        file.write("someone:x:1000:1000::/home/someone:/bin/sh\n")
    with (machine.root / "etc/group").open("a") as file:
        file.write("someone:x:1000:\n")
    (machine.root / "etc/systemd/system/manager.service").write_text(MANAGER)
    home = machine.root / "home" / "someone"
    home.mkdir(mode=0o700)
    os.chown(home, 1000, 1000)
    machine.boot()
    machine.call("systemctl", "start", "manager.service")

    def call(*command: str, given: str = "") -> str:
        variables = ["HOME=/home/someone", "XDG_RUNTIME_DIR=/run/someone", f"PATH={systemd_machine.PATH}"]
        user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", *variables]
        return machine.call(*user, *command, given=given)

    assert "enable --now" in call("sh", "-c", f"{PROGRAM} install-service --user 2>&1")
    call("systemctl", "--user", "daemon-reload")
    call("systemctl", "--user", "enable", "--now", NAME)
    assert call("systemctl", "--user", "is-active", NAME).strip() == "active"
    with running_sandbox() as api:
        call(PROGRAM, "apply", "-", given=json.dumps({"source": source_config("user", api)}))
        machine.wait(lambda: json.loads(call(PROGRAM, "list", "--json"))[0]["events"] > 0, 180)
    call("systemctl", "--user", "disable", "--now", NAME)
    assert call("systemctl", "--user", "show", "--value", "--property=Result", NAME).strip() == "success"
    assert "removed." in call(PROGRAM, "install-service", "--user", "--uninstall")
