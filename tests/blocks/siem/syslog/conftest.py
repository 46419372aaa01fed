"""An rsyslog, started once for all tests of syslog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.real_syslog import Rsyslog, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.real_syslog import Daemon


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(Rsyslog(tmp_path_factory.mktemp("rsyslog"))) as rsyslog:
        yield rsyslog


@pytest.fixture
def rsyslog(daemon: Daemon) -> Daemon:
    daemon.forget()
    return daemon
