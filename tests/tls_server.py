"""A small HTTPS server with a certificate of any kind, and with a clock of its own."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SERVER_KEY, AUTHORITY_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
HERE: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
ELSEWHERE: list[x509.GeneralName] = [x509.DNSName("events.example")]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def certificate(
    names: list[x509.GeneralName], *, days: float = 90, self_signed: bool = False, authority: bool = False
) -> x509.Certificate:
    """Valid from ten days ago for `days` from now; by the authority below, unless self-signed."""
    key = SERVER_KEY if self_signed else AUTHORITY_KEY
    owned = AUTHORITY_KEY if authority else SERVER_KEY
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("Test Authority" if authority else "server"))
        .issuer_name(_name("server" if self_signed else "Test Authority"))
        .public_key(owned.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(owned.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if authority:
        others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
        unused = dict.fromkeys((*others, "key_agreement", "encipher_only", "decipher_only"), False)
        usage = x509.KeyUsage(**unused, key_cert_sign=True, crl_sign=True)
        return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())


def write_authority(path: Path) -> str:
    """The file for SSL_CERT_FILE."""
    path.write_bytes(certificate([], authority=True).public_bytes(serialization.Encoding.PEM))
    return str(path)


@dataclass
class Asked:
    url: str
    requests: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def answering(
    directory: Path,
    shown: x509.Certificate | None = None,
    *,
    ahead: float | None = 0.0,
    headers: Mapping[str, str] | None = None,
    status: int = 401,
    host: str = "localhost",
) -> Iterator[Asked]:
    """A server whose clock is `ahead` by some seconds (None: it sends no Date); it keeps the headers it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.requests.append(dict(self.headers))
            self.send_response_only(status)
            if ahead is not None:
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:  # a client that refuses the certificate
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if shown is not None:
            server.socket = _context(directory, shown).wrap_socket(server.socket, server_side=True)
        asked = Asked(f"http{'s' if shown else ''}://{host}:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield asked
        server.shutdown()


def _context(directory: Path, shown: x509.Certificate) -> ssl.SSLContext:
    key = SERVER_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "server.pem"
    path.write_bytes(key + shown.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
