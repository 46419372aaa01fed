"""The block of a syslog receiver: its problems, its authorities, and the sender that it makes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from pydantic import SecretStr
from support import certificates, real_syslog
from support.syslog_sessions import KEY, OURS, block_for, formatted_sign_in, send

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.problems import ConfigurationError
from blocks.siem.syslog.block import Syslog

if TYPE_CHECKING:
    from support.real_syslog import Daemon


def test_without_an_authority_of_its_own_the_public_ones_are_trusted(
    rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = block_for(rsyslog, ca_certificate="").get_sender()
    with pytest.raises(ThirdPartyGenericError):
        sender.check()
    monkeypatch.setenv("SSL_CERT_FILE", str(rsyslog.directory / "authority.pem"))
    block_for(rsyslog, ca_certificate="").get_sender().check()


def test_an_authority_of_its_own_is_the_only_one(rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(rsyslog.directory / "authority.pem"))
    other = certificates.certificate(certificates.HERE, signed_by=certificates.SERVER_KEY)
    sender = block_for(rsyslog, ca_certificate=other.public_bytes(Encoding.PEM).decode()).get_sender()
    with pytest.raises(ThirdPartyGenericError):
        sender.check()


def test_missing_authorities_of_the_environment_are_an_error(rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with pytest.raises(ThirdPartyConfigError) as raised:
        block_for(rsyslog, ca_certificate="").get_sender()
    assert raised.value.code == "environment"


def test_a_key_goes_with_its_certificate() -> None:
    other = real_syslog.pem_of(certificates.OTHER_KEY)
    locked = certificates.SERVER_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    assert _paths_of(client_certificate=OURS) == {"block.client_key"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(other)) == {"block.client_key"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(locked.decode())) == {"block.client_key"}
    assert _paths_of(client_certificate="none", client_key=SecretStr(KEY)) == {"block.client_certificate"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(KEY)) == set()


@pytest.mark.parametrize("host", ["syslog.example.com", "192.0.2.7", "2001:db8::7", "siem_1"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert _paths_of(host=host) == set()


@pytest.mark.parametrize("host", ["", "https://x", "x:6514", "a b", "x/y", "-x", "[::1]", "x\n"])
def test_anything_else_is_no_host(host: str) -> None:
    assert _paths_of(host=host) == {"block.host"}


@pytest.mark.parametrize("sd_id", ["meta", "a b@1", "@1", "a@", "a@b", 'a"@1', "x" * 31 + "@1", "a@1\n"])
def test_an_sd_id_has_the_number_of_an_enterprise(sd_id: str) -> None:
    assert _paths_of(sd_id=sd_id) == {"block.sd_id"}


def test_without_a_host_name_it_is_that_of_the_machine(rsyslog: Daemon) -> None:
    send(block_for(rsyslog, hostname=""), [formatted_sign_in(category="success")])
    assert [message.hostname for message in rsyslog.messages()] == [socket.gethostname()]


def _paths_of(**members: object) -> set[str]:
    try:
        Syslog.model_validate({"host": "localhost", **members}).ensure_valid()
    except ConfigurationError as error:
        return {problem.path for problem in error.problems}
    return set()
