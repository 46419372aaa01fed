"""systemd's notify protocol, with a real socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from deployments.one_machine.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """What systemd gives a service as its address, and where it listens."""
    name = f"@onepassword-source-{os.urandom(6).hex()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.setblocking(False)
        yield name, listener


def heard(listener: socket.socket) -> list[str]:
    found: list[str] = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_what_it_sends(manager: tuple[str, socket.socket]) -> None:
    name, listener = manager
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid()), "OTHER": "stays"}
    systemd = Systemd.from_environment(environment)
    assert environment == {"OTHER": "stays"}
    systemd.ready()
    systemd.status("2 sources,\nall well")
    systemd.status("2 sources,\nall well")
    systemd.alive()
    systemd.alive()
    systemd.stopping()
    assert heard(listener) == ["READY=1", "STATUS=2 sources, all well", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_it_is_alive_twice_in_an_interval(manager: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    name, listener = manager
    now = [5000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    systemd = Systemd.from_environment({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
    for _ in range(300):
        systemd.alive()
        now[0] += 0.2
    assert heard(listener) == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize("usec", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_none_or_of_another_process(
    manager: tuple[str, socket.socket], usec: dict[str, str]
) -> None:
    name, listener = manager
    Systemd.from_environment({"NOTIFY_SOCKET": name, **usec}).alive()
    assert heard(listener) == []


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(address: str | None) -> None:
    systemd = Systemd(address, 1)
    systemd.ready()
    systemd.alive()
    systemd.stopping()


def test_a_full_socket_holds_up_nothing(manager: tuple[str, socket.socket]) -> None:
    name, _ = manager
    systemd = Systemd(name)
    for number in range(2000):
        systemd.status(f"{number}")
