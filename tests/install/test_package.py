"""The wheel, in the ways that people install a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from install.machine import Machine


def test_wheel_by_pip(machine: Machine, wheel: Path) -> None:
    environment = machine.home / "environment"
    machine.call(sys.executable, "-m", "venv", environment)
    machine.call(environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    printed = machine.call(environment / "bin" / "onepassword-source", "demo")
    assert "3,000 new events" in printed, printed
