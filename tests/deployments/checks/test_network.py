"""The checks of the network and of the token: names, TLS, clocks, scopes and expiry, with real servers."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.certificates import HERE, certificate, rejected_certificates
from support.tls_server import answering

from deployments import cli
from deployments.checks import network

if TYPE_CHECKING:
    from cryptography import x509

    from deployments.sandbox.process import SandboxProcess


def test_a_way_that_is_open(tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, days=60)) as stand_in:
        way = network.check_reachability(stand_in.url)
    assert (way.dns.result, way.tls.result, way.clock.result) == ("ok", "ok", "ok")
    assert "localhost is " in way.dns.description
    assert way.tls.description == "TLSv1.3, certificate by Test Authority, 60 days left"


def test_what_cannot_be_read_in_the_environment_is_named_before_all_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert network.check_environment() == []
    monkeypatch.setenv("NO_PROXY", "localhost,fd00:1234::/64")
    monkeypatch.setenv("HTTP_PROXY", "http://user:hidden@[")
    for name in ("NO_PROXY", "HTTP_PROXY"):  # to be taken out again, as the command puts them in
        monkeypatch.setenv(f"{name}_AS_SET", "")
        monkeypatch.delenv(f"{name}_AS_SET")
    assert cli.main(["--help"]) == cli.DONE
    errors = capsys.readouterr().err
    assert "Warning: NO_PROXY has an entry that Prefect's HTTP client cannot read: fd00:1234::/64." in errors
    assert "Warning: HTTP_PROXY is no address of a proxy" in errors
    assert "hidden" not in errors
    assert (os.environ["NO_PROXY"], os.environ["HTTP_PROXY"]) == ("localhost", "")
    assert [(one.step, one.result) for one in network.check_environment()] == [("environment", "warning")] * 2


def test_a_name_that_does_not_resolve_leaves_the_rest_unchecked() -> None:
    way = network.check_reachability("https://events.invalid")
    assert (way.dns.result, way.tls.result, way.clock.result) == ("failed", "not checked", "not checked")
    assert way.dns.description == "The name events.invalid could not be resolved."
    assert way.dns.hint == "Check base_url and this machine's DNS."


def test_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "DNS_SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1))
    assert network.check_reachability("https://events.example").dns.description.endswith("was not resolved within 0 s.")


@pytest.mark.parametrize(("shown", "text"), rejected_certificates())
def test_an_invalid_certificate(tmp_path: Path, shown: x509.Certificate, text: str) -> None:
    with answering(tmp_path, shown) as stand_in:
        way = network.check_reachability(stand_in.url)
    assert (way.dns.result, way.tls.result, way.clock.result) == ("ok", "failed", "not checked")
    assert text in way.tls.description
    assert "set SSL_CERT_FILE" in way.tls.hint


def test_a_certificate_that_expires_soon(tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, days=3)) as stand_in:
        assert network.check_reachability(stand_in.url).tls.result == "warning"


def test_a_port_without_a_listener() -> None:
    tls = network.check_reachability("http://127.0.0.1:1").tls
    assert (tls.result, tls.description) == ("failed", "127.0.0.1 refused the connection.")
    assert tls.hint == "Check base_url and the firewall."


@pytest.mark.parametrize(
    ("ahead", "text"), [(90, "clock is 90 s behind the server's"), (-7200, "clock is 120 min ahead of the server's")]
)
def test_a_clock_that_is_wrong(tmp_path: Path, ahead: int, text: str) -> None:
    with answering(tmp_path, ahead=ahead) as stand_in:
        found = network.check_reachability(stand_in.url).clock
    # The header has whole seconds, so 90 may be 89 or 91.
    assert found.result == "failed"
    assert text in found.description.replace("89 s", "90 s").replace("91 s", "90 s")
    assert "NTP" in found.hint


def test_a_server_without_a_date_header(tmp_path: Path) -> None:
    with answering(tmp_path, ahead=None) as stand_in:
        assert network.check_reachability(stand_in.url).clock.result == "not checked"


# The token


DAY = 86_400


def test_a_token_that_is_accepted(api: SandboxProcess) -> None:
    introspection, scopes = network.check_account(api.base_url, api.token, ["sign-in", "audit"], None)
    assert introspection.result == "ok"
    assert api.introspect().json()["account_uuid"] in introspection.description
    assert (scopes.result, scopes.description) == ("ok", "auditevents, itemusages, signinattempts")


def test_a_revoked_token(api: SandboxProcess) -> None:
    token = api.issue_token()
    api.revoke(token)
    introspection, scopes = network.check_account(api.base_url, token, ["audit"], None)
    assert (introspection.result, scopes.result) == ("failed", "not checked")
    assert "refuses the token" in introspection.description
    assert token not in str((introspection, scopes))


def test_a_missing_scope(api: SandboxProcess) -> None:
    token = api.issue_token(["signinattempts"])
    introspection, scopes = network.check_account(api.base_url, token, ["sign-in", "itemUsage", "audit"], None)
    assert (introspection.result, scopes.result) == ("ok", "failed")
    lacks = "itemusages (for itemUsage), auditevents (for audit)"
    assert scopes.description == f"The token lacks {lacks}; it has signinattempts."
    assert "or take itemUsage, audit out of supported_apis" in scopes.hint


def test_a_token_of_another_account(api: SandboxProcess) -> None:
    introspection, _ = network.check_account(api.base_url, api.token, ["audit"], "ANOTHER")
    assert introspection.result == "failed"
    assert "the events are of account ANOTHER" in introspection.description
    assert "--new-account" in introspection.hint


def test_an_events_api_in_trouble(api: SandboxProcess) -> None:
    api.fault("503", api="introspect")
    try:
        introspection, _ = network.check_account(api.base_url, api.token, ["audit"], None)
    finally:
        api.clear_faults()
    assert (introspection.result, introspection.description) == ("failed", "The Events API answered 503.")
    assert introspection.hint.startswith("Try again")


@pytest.mark.parametrize(
    ("seconds", "result", "text"),
    [
        (None, "ok", "the token never expires"),
        (90 * DAY, "ok", "days left"),
        (3 * DAY, "warning", "expires within 3 days"),
        (-DAY, "failed", "The token expired 24 h ago."),
    ],
)
def test_when_the_token_expires(api: SandboxProcess, seconds: float | None, result: str, text: str) -> None:
    found = network.check_expiry(api.issue_token(expires_in=seconds))
    assert (found.result, text in found.description) == (result, True)


def test_a_token_that_was_cut_off(api: SandboxProcess) -> None:
    assert network.check_expiry(api.token.rpartition(".")[0]).result == "warning"
