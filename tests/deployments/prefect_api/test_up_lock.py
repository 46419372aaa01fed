"""One `up` at a time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import up_lock

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
    # What activate() writes is put back after the test.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return directory


def test_a_second_up_is_an_error() -> None:
    with (
        up_lock.hold(),
        pytest.raises(FirstPartyGenericError, match="`up` is already running"),
        up_lock.hold(),
    ):
        pass
