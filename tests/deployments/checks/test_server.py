"""The check of the Prefect server: what its answer means, and how long it may take."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from support.raw_server import answered, listening, then_closed

from blocks.errors import FirstPartyGenericError
from deployments import prefect_session
from deployments.checks import server
from deployments.prefect_api import server_access, up_lock
from deployments.prefect_api.server_access import PrefectAccess

if TYPE_CHECKING:
    from pathlib import Path

OPEN = "Your Prefect server has no password. Anyone who reaches it can read its secrets."


def external(url: str, *warnings: str) -> PrefectAccess:
    return PrefectAccess("external", f"{url}/api", warnings=warnings)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (b"200 OK", "ok"),
        (b"401 Unauthorized", "ok"),
        (b"403 Forbidden", "ok"),
        (b"404 Not Found", "failed"),
        (b"500 Oops", "failed"),
    ],
)
def test_an_answer_to_the_health_check_is_a_server_also_where_it_wants_a_password(status: bytes, result: str) -> None:
    with listening(then_closed(answered(b"", status))) as running:
        finding = server._reach(external(running.url))
        assert running.requests[0].startswith(b"GET /api/health ")
    assert (finding.step, finding.result) == ("Prefect server", result)
    assert running.url.removeprefix("http://") in finding.description
    assert result == "ok" or f" answered {status[:3].decode()} " in finding.description


def test_a_server_that_is_gone_or_silent_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEALTH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for url in (silent_url, "http://127.0.0.1:1", "http://[::1"):
            finding = server._reach(external(url))
            assert finding.result == "failed", url
            assert "does not answer" in finding.description


def test_a_warning_of_the_access_is_that_of_the_server() -> None:
    with listening(then_closed(answered(b""))) as running:
        finding = server._reach(external(running.url, OPEN, "Another one."))
    assert (finding.result, finding.description) == ("warning", "Your Prefect server has no password.")
    assert finding.hint == "Anyone who reaches it can read its secrets."


def test_the_server_of_up_is_named_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    own = server._reach(PrefectAccess("own", "http://127.0.0.1:4200/api"))
    assert (own.result, "http://127.0.0.1:4200/api" in own.description) == ("ok", True)
    monkeypatch.setattr(up_lock, "is_held", lambda: True)
    starting = server._reach(PrefectAccess("temporary", None))
    assert starting.result == "failed"
    assert "does not answer (yet)" in starting.description


def test_without_a_server_a_temporary_one_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: float) -> None:
        raise RuntimeError("the output of a process")

    monkeypatch.setattr(up_lock, "is_held", lambda: False)
    monkeypatch.setattr(prefect_session, "start_temporary", lambda _: None)
    assert server._reach(PrefectAccess("temporary", None)).result == "ok"
    monkeypatch.setattr(prefect_session, "start_temporary", fail)
    finding = server._reach(PrefectAccess("temporary", None))
    assert (finding.result, "the output" in finding.description) == ("failed", False)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which Prefect has never run."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "new"))
    monkeypatch.setattr(server, "_has_local_prefect", lambda: False)


def test_a_machine_without_prefect_gets_none(elsewhere: None, tmp_path: Path) -> None:
    findings = server.check_server("1Pass")
    assert (findings.server.result, findings.exists) == ("failed", False)
    assert "no Prefect data" in findings.server.description
    assert not (tmp_path / "new").exists()


def test_an_error_of_the_access_and_a_server_that_fails_are_the_only_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> PrefectAccess:
        raise FirstPartyGenericError("The file is damaged.", hint="Restore it.")

    monkeypatch.setattr(server, "_has_local_prefect", lambda: True)
    monkeypatch.setattr(server_access, "activate", refuse)
    findings = server.check_server("1Pass")
    assert (findings.server.description, findings.server.hint) == ("The file is damaged.", "Restore it.")
    monkeypatch.setattr(server_access, "activate", lambda: external("http://127.0.0.1:1"))
    assert server.check_server("1Pass").schedule.result == "not checked"


def test_a_server_that_returns_nothing_in_time_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(server, "_has_local_prefect", lambda: True)
    monkeypatch.setattr(server_access, "activate", lambda: PrefectAccess("own", "http://127.0.0.1:4200/api"))
    monkeypatch.setattr(server, "_read_source", hang)
    findings = server.check_server("1Pass")
    assert "did not return its data within 12 s" in findings.server.description
