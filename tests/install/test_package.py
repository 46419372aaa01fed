"""The package, in the ways that people install a command."""

from __future__ import annotations

import json
import shutil
import signal
import tarfile
from typing import TYPE_CHECKING

import pytest
from install import interpreters
from install.debian_root import DebianRoot
from install.machine import OWN_BIN
from support import installed_wheel, strangers_directory
from support.one_machine import free_port, wait_until

from deployments.commands.sandbox import source_configuration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from install.machine import Machine

UV = OWN_BIN / "uv"
SECONDS = 600


def require_demo(printed: str) -> None:
    """The demo did what it promises, and nothing else is on the terminal."""
    assert "Collected: 3,000 new events" in printed, printed
    assert "onepassword-source up" in printed, printed
    for word in ("Traceback", "Warning", "warning", "deprecated"):
        assert word not in printed, printed


@pytest.mark.parametrize("version", interpreters.SUPPORTED)
def test_wheel_by_pip(
    version: str, machine: Machine, wheel: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("where", f"Python {version}")
    environment = machine.home / "environment"
    machine.call(interpreters.require(version), "-m", "venv", environment)
    machine.call(environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    require_demo(machine.call(environment / "bin" / "onepassword-source", "demo"))


def test_wheel_by_pip_on_the_next_debian(
    tmp_path: Path, wheel: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its Python is 3.14, which this machine need not have."""
    record_property("where", "Debian forky, Python 3.14")
    root = DebianRoot.make(tmp_path / "root", "forky", "python3.14", "python3.14-venv")
    shutil.copy(wheel, root.home)
    root.call("python3.14", "-m", "venv", "environment")
    root.call("environment/bin/python", "-m", "pip", "install", "--quiet", wheel.name)
    require_demo(root.call("environment/bin/onepassword-source", "demo"))


def test_wheel_by_uv_tool_with_all_commands(machine: Machine, wheel: Path) -> None:
    """In a folder whose files have the names of the program's own packages."""
    machine.call(UV, "tool", "install", "--quiet", "--python", interpreters.newest(), wheel)
    strangers_directory.make(machine.folder / "theirs", machine.home / "site")
    _use_every_command(machine.in_folder("theirs"))
    machine.call(UV, "tool", "uninstall", "onepassword-source")
    assert not (machine.home / ".local" / "bin" / "onepassword-source").exists()
    assert (machine.home / ".local" / "share" / "onepassword-source" / "events.db").exists()  # your events stay


def test_wheel_by_pipx_with_the_tested_versions(machine: Machine, wheel: Path, constraints: Path) -> None:
    pipx = (UV, "tool", "run", "--quiet", "--python", interpreters.newest(), "pipx")
    install = (*pipx, "install", "--quiet", "--python", interpreters.newest())
    machine.call(*install, f"--pip-args=--constraint {constraints}", wheel)
    require_demo(machine.call("onepassword-source", "demo"))
    machine.call(*install, "--force", wheel)  # an upgrade by file
    machine.call(*pipx, "uninstall", "onepassword-source")
    assert not (machine.home / ".local" / "bin" / "onepassword-source").exists()


def test_make_demo_from_a_clone(machine: Machine, clone: Path) -> None:
    require_demo(machine.call("make", "demo", cwd=clone))


def test_the_tests_from_the_sdist(machine: Machine, tmp_path: Path) -> None:
    """Those that need no server, of the program and of the files beside it."""
    with tarfile.open(installed_wheel.build(tmp_path, "sdist")) as archive:
        archive.extractall(machine.home, filter="data")
    (tree,) = machine.home.glob("onepassword_source-*")
    tests = ("tests/blocks/config", "tests/test_documentation.py", "tests/test_package.py", "tests/test_words.py")
    editable = "tests/test_package.py::test_the_entry_points_of_deployments_are_flows[editable]"  # is of this checkout
    printed = machine.call(OWN_BIN / "python", "-m", "pytest", "-q", *tests, "--deselect", editable, cwd=tree)
    assert " passed" in printed


def _use_every_command(machine: Machine) -> None:
    require_demo(machine.call("onepassword-source", "demo"))
    with machine.start("onepassword-source", "sandbox", "--events", "300") as sandbox:
        assert sandbox.stdout is not None
        api = json.loads(sandbox.stdout.readline())
        file = machine.folder / "source.json"
        file.write_text(json.dumps(source_configuration("made-up", api["base_url"], api["token"])))
        file.chmod(0o600)
        machine.call("onepassword-source", "apply", "source.json")
        printed = machine.call("onepassword-source", "collect", "made-up")
        assert "297 new events" in printed, printed  # a third of 300 for each API, rounded down
        _stop_when_it_serves(machine, "console", "--port", str(free_port()))
        machine.further["ONEPASSWORD_SOURCE_PORT"] = str(free_port())
        _stop_when_it_serves(machine, "up")
        sandbox.send_signal(signal.SIGINT)


def _stop_when_it_serves(machine: Machine, *command: str) -> None:
    with machine.start("onepassword-source", *command) as process:
        assert process.stdout is not None
        wait_until(lambda: "Log in with" in process.stdout.readline(), SECONDS)
        process.send_signal(signal.SIGTERM)
