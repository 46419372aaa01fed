"""A sandbox with few events, and a store of the environment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.certificates import write_authority

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess


@pytest.fixture(autouse=True)
def one_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path / "authority.pem"))


@pytest.fixture(scope="module")
def api() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3) as running:
        yield running


@pytest.fixture
def url(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'events.db')}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    return url
