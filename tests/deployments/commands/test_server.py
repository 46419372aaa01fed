"""The command `server`: where it listens, with or without TLS, what it warns of, and the form of its log."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from blocks import json_log
from deployments import cli
from deployments.commands.server import PLAIN_HTTP
from deployments.one_machine import guarded_server
from deployments.prefect_api import shared_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.command_calls import CommandCalls

    from deployments.prefect_api.server_access import ListenAddress


@dataclass
class Served:
    """What was prepared and served, in order, in place of a server that runs until Ctrl-C."""

    activated: list[ListenAddress] = field(default_factory=list)
    """The environment is ready for Prefect's import."""
    served: list[tuple[Any, str, int, Any]] = field(default_factory=list)
    """App, host, port and TLS files."""

    def activate(self, at: ListenAddress) -> None:
        assert not self.served
        self.activated.append(at)

    def create_app(self, *, alone: bool) -> str:
        assert alone
        assert len(self.activated) == 1
        return "the app"

    def serve(self, app: str, host: str, port: int, *, log_level: str, tls: tuple[str, str] | None) -> None:
        assert log_level == "WARNING"
        self.served.append((app, host, port, tls))


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    own = Served()
    monkeypatch.setattr(shared_server, "activate", own.activate)
    monkeypatch.setattr(guarded_server, "create_app", own.create_app)
    monkeypatch.setattr(guarded_server, "serve", own.serve)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_PORT", "8123")
    before = dict(os.environ)
    yield own
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """The paths of a certificate and its key, whose content no test reads."""
    paths = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    for path in paths:
        (tmp_path / path).touch()
    return paths


def test_it_serves_this_machine_by_itself(call: CommandCalls, served: Served) -> None:
    assert call("server") == ""
    assert call.err == "Prefect's API: http://127.0.0.1:8123/api\n"
    assert served.served == [("the app", "127.0.0.1", 8123, None)]
    assert served.activated[0].is_local


def test_workers_in_a_private_network_are_served_in_plain_http_with_a_warning(
    call: CommandCalls, served: Served
) -> None:
    call("server", "--host", "192.0.2.1", "--public-url", "https://prefect.example.com", "--name", "prefect")
    assert call.err.splitlines() == [
        f"Warning: {PLAIN_HTTP.format(host='192.0.2.1')}",
        "Prefect's API: https://prefect.example.com/api",
    ]
    assert served.served == [("the app", "192.0.2.1", 8123, None)]
    (at,) = served.activated
    assert (at.host, at.public_url) == ("192.0.2.1", "https://prefect.example.com")


def test_with_a_certificate_there_is_nothing_to_warn_of(
    call: CommandCalls, served: Served, certificate: tuple[str, str]
) -> None:
    files = ("--tls-certificate", certificate[0], "--tls-key", certificate[1])
    call("server", "--host", "192.0.2.1", "--public-url", "https://192.0.2.1:8123", *files)
    assert call.err == "Prefect's API: https://192.0.2.1:8123/api\n"
    assert served.served == [("the app", "192.0.2.1", 8123, certificate)]


def test_this_machine_may_be_served_with_tls_too(
    call: CommandCalls, served: Served, certificate: tuple[str, str]
) -> None:
    call("server", "--tls-certificate", certificate[0], "--tls-key", certificate[1])
    assert call.err == "Prefect's API: https://127.0.0.1:8123/api\n"
    assert served.served[0][3] == certificate


def test_prefect_logs_its_errors_alone(call: CommandCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_LOGGING_LEVEL", raising=False)
    call("server")
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "WARNING"


def test_half_a_certificate_is_wrong_use(call: CommandCalls, served: Served, certificate: tuple[str, str]) -> None:
    call("server", "--tls-certificate", certificate[0], code=cli.WRONG_USE)
    assert "--tls-key is missing." in call.err
    assert (served.activated, served.served) == ([], [])


def test_a_wrong_proxy_is_refused_before_anything_is_prepared(
    call: CommandCalls, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", "no address")
    call("server", code=cli.WRONG_USE)
    assert "no address" in call.err
    assert served.activated == []


def test_the_log_may_be_json_and_prefects_is_then_too(call: CommandCalls, served: Served) -> None:
    out = call("server", "--host", "192.0.2.1", "--public-url", "https://prefect.example.com", "--log-format", "json")
    warning, ready = (json.loads(line) for line in out.splitlines())
    assert warning["message"].startswith("Warning: The server listens on 192.0.2.1 in plain HTTP")
    assert (warning["part"], ready["part"]) == ("server", "server")
    assert (ready["event"], ready["url"]) == ("ready", "https://prefect.example.com")
    settings = json_log.prefect_settings("server")
    assert settings
    assert {name: os.environ.get(name) for name in settings} == settings
    assert served.served


def test_as_text_prefect_logs_as_it_does(call: CommandCalls) -> None:
    call("server", "--log-format", "text")
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER" in json_log.prefect_settings("server")
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER" not in os.environ
