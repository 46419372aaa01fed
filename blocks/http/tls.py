"""Which certificate authorities are trusted. Reading them takes 70 ms, so that a process does it once."""

from __future__ import annotations

import os
import ssl
from functools import cache, lru_cache

import httpx


def trusted() -> ssl.SSLContext:
    """Those of SSL_CERT_FILE or SSL_CERT_DIR, else certifi's, as httpx has it. Raises OSError where there are none."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def no_authority() -> ssl.SSLContext:
    """For plain HTTP, where no certificate is ever checked: every certificate is refused."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=4)
def _read(_file: str | None, _directory: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()
