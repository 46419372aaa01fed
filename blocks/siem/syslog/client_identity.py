"""TLS certificates from a configuration: the authorities to trust, and the client certificate."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from blocks.http import tls
from blocks.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

CERTIFICATE = "PEM: -----BEGIN CERTIFICATE----- and so on"
KEY = "the PEM of the private key, without a passphrase: -----BEGIN PRIVATE KEY----- and so on"


def tls_context(authorities: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Return a TLS context that verifies a server's certificate and name. All parameters are PEM.

    If `authorities` is empty, those of HTTP are trusted (SSL_CERT_FILE, SSL_CERT_DIR, certifi). Raises
    ThirdPartyConfigError.
    """
    # Not the shared context of HTTP, which contains the protocols of HTTP.
    made = ssl.create_default_context(cadata=authorities) if authorities.strip() else tls.new_context()
    if certificate.strip():
        with _file(f"{certificate.strip()}\n{key.strip()}\n") as path:
            made.load_cert_chain(path, password=lambda: b"")  # without it, OpenSSL prompts on the terminal
    return made


def problems(authorities: tuple[str, str], certificate: tuple[str, str], key: tuple[str, str]) -> Iterator[Problem]:
    """Yield the problems of the certificates. Each parameter is the path of the member and its text."""
    if _is_given(authorities) and not _is_certificate(authorities[1]):
        yield Problem(authorities[0], "it holds no readable certificate", CERTIFICATE)
    if _is_given(certificate) != _is_given(key):
        missing = key[0] if _is_given(certificate) else certificate[0]
        yield Problem(missing, "a client certificate needs its key, and a key its certificate", "both, or neither")
    elif _is_given(certificate):
        yield from _pair_problems(certificate, key)


def _pair_problems(certificate: tuple[str, str], key: tuple[str, str]) -> Iterator[Problem]:
    if not _is_certificate(certificate[1]):
        yield Problem(certificate[0], "it holds no readable certificate", CERTIFICATE)
        return
    public = _public_of(key[1])
    if public is None:
        yield Problem(key[0], "it holds no readable private key", KEY)
    elif _bits(x509.load_pem_x509_certificate(certificate[1].encode()).public_key()) != _bits(public):
        yield Problem(key[0], "it is not the key of the client certificate", "the key that belongs to it")


def _is_given(member: tuple[str, str]) -> bool:
    return bool(member[1].strip())


def _is_certificate(text: str) -> bool:
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        ssl.create_default_context(cadata="".join(one.public_bytes(Encoding.PEM).decode() for one in found))
    except (ValueError, OSError):
        return False
    return bool(found)


def _public_of(key: str) -> PublicKeyTypes | None:
    try:
        return load_pem_private_key(key.strip().encode(), None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _bits(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """Write a file for OpenSSL, which reads keys from files only: in memory if possible, else private to the user."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("certificate"), "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield file.name
