"""Certificates for test servers, valid and invalid ones, and the certificate authority that a test trusts."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark import ParameterSet

SERVER_KEY, AUTHORITY_KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
HERE: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
ELSEWHERE: list[x509.GeneralName] = [x509.DNSName("events.example")]
_SIGNERS = {id(SERVER_KEY): "server", id(AUTHORITY_KEY): "Test Authority", id(OTHER_KEY): "a proxy"}


def certificate(
    names: list[x509.GeneralName], *, days: float = 90, signed_by: ec.EllipticCurvePrivateKey = AUTHORITY_KEY
) -> x509.Certificate:
    """A certificate from ten days ago until `days` from now; self-signed if `signed_by` is SERVER_KEY."""
    begun = _begun("server", SERVER_KEY, signed_by, days)
    return begun.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(signed_by, hashes.SHA256())


REJECTED = {
    "wrong name": (ELSEWHERE, 90, AUTHORITY_KEY, "Hostname mismatch"),
    "expired": (HERE, -1, AUTHORITY_KEY, "certificate has expired"),
    "self-signed": (HERE, 90, SERVER_KEY, "self-signed certificate"),
}


def rejected_certificates() -> list[ParameterSet]:
    """Certificates that a client must reject, each with a part of the error's text."""
    return [
        pytest.param(certificate(names, days=days, signed_by=signer), words, id=name)
        for name, (names, days, signer, words) in REJECTED.items()
    ]


def write_authority(path: Path) -> str:
    """Write the authority's certificate, the file for SSL_CERT_FILE."""
    others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    unused = dict.fromkeys((*others, "key_agreement", "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(**unused, key_cert_sign=True, crl_sign=True)
    begun = _begun("Test Authority", AUTHORITY_KEY, AUTHORITY_KEY, 90).add_extension(usage, critical=True)
    path.write_bytes(begun.sign(AUTHORITY_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return str(path)


def server_context(directory: Path, shown: x509.Certificate) -> ssl.SSLContext:
    key = SERVER_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "server.pem"
    path.write_bytes(key + shown.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _begun(
    of: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(of))
        .issuer_name(_name(_SIGNERS[id(signer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=key is AUTHORITY_KEY, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
