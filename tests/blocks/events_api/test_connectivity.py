"""The way to an Events API server, looked at step by step: names, certificates, clocks, without a token."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from support.certificates import HERE, certificate, rejected_certificates
from support.tls_server import answering

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import connectivity

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

DAY = 86_400


pytestmark = pytest.mark.usefixtures("one_authority")


def test_a_name_is_resolved() -> None:
    assert "127.0.0.1" in connectivity.resolve("localhost")
    assert connectivity.resolve("[::1]") == ("::1",)


@pytest.mark.parametrize("host", ["events.invalid", "a" * 70 + ".invalid"])
def test_a_name_that_does_not_resolve(host: str) -> None:
    with pytest.raises(ThirdPartyGenericError, match=f"The name {host} could not be resolved") as raised:
        connectivity.resolve(host)
    assert raised.value.code == "dns"


def test_a_certificate_is_verified_and_reported(tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, days=90)) as server:
        answer = connectivity.probe(server.url, 5)
    assert answer.certificate
    assert answer.certificate.issuer == "Test Authority"
    assert answer.certificate.tls == "TLSv1.3"
    assert abs(answer.certificate.expires_at - time.time() - 90 * DAY) < 60
    (headers,) = server.requests
    assert "authorization" not in {name.lower() for name in headers}


@pytest.mark.parametrize(("shown", "text"), rejected_certificates())
def test_a_certificate_that_is_refused(tmp_path: Path, shown: x509.Certificate, text: str) -> None:
    with answering(tmp_path, shown) as server, pytest.raises(ThirdPartyGenericError, match=text) as raised:
        connectivity.probe(server.url, 5)
    assert raised.value.code == "tls"
    assert server.requests == []


def test_plain_http_has_no_certificate(tmp_path: Path) -> None:
    with answering(tmp_path) as server:
        assert connectivity.probe(server.url, 5).certificate is None


@pytest.mark.parametrize("ahead", [0, 90, -7200])
def test_the_clocks_are_compared(tmp_path: Path, ahead: int) -> None:
    with answering(tmp_path, ahead=ahead) as server:
        found = connectivity.probe(server.url, 5).ahead
    assert found is not None
    assert abs(found - ahead) < 2


def test_a_cached_answer_is_as_old_as_it_says(tmp_path: Path) -> None:
    with answering(tmp_path, ahead=-600, headers={"Age": "600"}) as server:
        found = connectivity.probe(server.url, 5).ahead
    assert found is not None
    assert abs(found) < 2


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}])
def test_a_server_without_a_valid_date_header(tmp_path: Path, headers: dict[str, str]) -> None:
    with answering(tmp_path, ahead=None, headers=headers) as server:
        assert connectivity.probe(server.url, 5).ahead is None


def test_a_redirect_is_not_followed_wherever_it_leads(tmp_path: Path) -> None:
    with answering(tmp_path, status=302, headers={"Location": "http://elsewhere:port"}) as server:
        assert connectivity.probe(server.url, 5).ahead is not None
    assert len(server.requests) == 1


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        before = time.monotonic()
        with pytest.raises(ThirdPartyGenericError, match=r"took longer than 0\.2 seconds") as raised:
            connectivity.probe(f"http://127.0.0.1:{door.getsockname()[1]}", 0.2)
    assert raised.value.code == "timeout"
    assert time.monotonic() - before < 2


def test_the_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128")
    assert connectivity.proxy_of("https://events.1password.com") == "proxy.example:3128"
    assert connectivity.proxy_of("http://127.0.0.1:8080") is None
    monkeypatch.setenv("NO_PROXY", "events.1password.com")
    assert connectivity.proxy_of("https://events.1password.com") is None
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:port")
    with pytest.raises(ThirdPartyConfigError, match="HTTPS_PROXY is no address of a proxy"):
        connectivity.proxy_of("https://events.1password.com")
