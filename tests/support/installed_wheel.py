"""A wheel of this checkout, and an environment of its own in which it is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from support.paths import ROOT

PYTHON = (sys.executable, "-m")


def build(directory: Path, target: str = "wheel", tree: Path = ROOT) -> Path:
    """Build a wheel, or an sdist, of a tree."""
    command = [*PYTHON, "hatchling", "build", "--target", target, "--directory", str(directory)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (built,) = directory.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def install(directory: Path) -> Path:
    """Install a wheel of this checkout into a new environment; dependencies come from this one. Returns its `bin`."""
    wheel = build(directory)
    own = directory / "environment"
    subprocess.run([*PYTHON, "venv", "--without-pip", str(own)], check=True)
    pip = [*PYTHON, "pip", "--python", str(own / "bin" / "python"), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True)
    (packages,) = own.glob("lib/python*/site-packages")
    # Python does not read .pth files of a directory that a .pth names, so the editable install is not found.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = subprocess.check_output(
        [str(own / "bin" / "python"), "-P", "-c", "import deployments; print(deployments.__file__)"], text=True
    )
    assert Path(found.strip()).is_relative_to(own)
    return own / "bin"
