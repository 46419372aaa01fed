"""A fixture: a data directory and an environment of a test's own, in the state before Prefect is imported.

A test module imports it as `data = own_environment.data`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))]:
        monkeypatch.delenv(name)
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    directory = tmp_path / "it's here"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(directory))
    # Variables that activate() sets are restored after the test.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return directory
