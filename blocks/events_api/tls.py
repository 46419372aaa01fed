"""Which certificate authorities are trusted. Reading them takes 70 ms, so that a process does it once."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl


def trusted() -> ssl.SSLContext:
    """Those of SSL_CERT_FILE or SSL_CERT_DIR, else certifi's, as httpx has it. Raises OSError where there are none."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)
def _read(_file: str | None, _directory: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()
