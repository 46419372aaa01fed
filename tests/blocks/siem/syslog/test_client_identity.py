"""Certificates of a configuration are checked before they are used, and a context trusts only what it is given."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support import certificates
from support.real_syslog import pem_of

from blocks.siem.syslog import client_identity

CERTIFICATE = certificates.certificate(certificates.HERE).public_bytes(Encoding.PEM).decode()
KEY, OTHER_KEY = pem_of(certificates.SERVER_KEY), pem_of(certificates.OTHER_KEY)


def problems(authorities: str = "", certificate: str = "", key: str = "") -> list[str]:
    found = client_identity.problems(("ca", authorities), ("certificate", certificate), ("key", key))
    return [problem.path for problem in found]


def test_no_certificates_and_a_matching_pair_have_no_problem() -> None:
    assert problems() == problems(CERTIFICATE, CERTIFICATE, KEY) == []


@pytest.mark.parametrize(
    ("authorities", "certificate", "key", "paths"),
    [
        ("nonsense", "", "", ["ca"]),
        ("", CERTIFICATE, "", ["key"]),
        ("", "", KEY, ["certificate"]),
        ("", "nonsense", KEY, ["certificate"]),
        ("", CERTIFICATE, "nonsense", ["key"]),
        ("", CERTIFICATE, OTHER_KEY, ["key"]),
        ("nonsense", CERTIFICATE, OTHER_KEY, ["ca", "key"]),
    ],
)
def test_each_problem_is_reported_at_its_member(authorities: str, certificate: str, key: str, paths: list[str]) -> None:
    assert problems(authorities, certificate, key) == paths


def test_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    authority = Path(certificates.write_authority(tmp_path / "authority.pem")).read_text()
    context = client_identity.tls_context(authority)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_a_context_with_a_pair_is_made_without_a_prompt() -> None:
    assert isinstance(client_identity.tls_context("", CERTIFICATE, KEY), ssl.SSLContext)
    with pytest.raises(ssl.SSLError):
        client_identity.tls_context("", CERTIFICATE, OTHER_KEY)
