"""Which certificate authorities are trusted. Reading them takes 70 ms, so that a process does it once."""

from __future__ import annotations

import os
import ssl
from functools import cache, lru_cache
from pathlib import Path

import httpx

from blocks.errors import ThirdPartyConfigError
from blocks.http.proxies import AS_SET, CERTIFICATES


def trusted() -> ssl.SSLContext:
    """Those of SSL_CERT_FILE or SSL_CERT_DIR, else certifi's, as httpx has it: shared, as HTTP needs it.

    Raises ThirdPartyConfigError where there are none.
    """
    return _read(_file_as_set(), os.environ.get("SSL_CERT_DIR"))


def _file_as_set() -> str | None:
    """Where a command has taken it out of the environment, since Prefect cannot be imported with it, too."""
    return os.environ.get(CERTIFICATES + AS_SET) or os.environ.get(CERTIFICATES)


def new_context() -> ssl.SSLContext:
    """The same, for one alone. Raises ThirdPartyConfigError."""
    file, directory = _file_as_set(), os.environ.get("SSL_CERT_DIR")
    if file and file != os.environ.get(CERTIFICATES):
        raise _no_authority_in(CERTIFICATES, file)
    try:
        context = httpx.create_ssl_context()
    except OSError:
        raise _no_authority_in(CERTIFICATES, file or "") from None
    if not file and directory and not _has_files(directory):
        # OpenSSL takes a directory that is not there, and then trusts no server at all.
        raise _no_authority_in("SSL_CERT_DIR", directory)
    return context


@cache
def no_authority() -> ssl.SSLContext:
    """For plain HTTP, which checks no certificate: a context that trusts none."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=4)
def _read(_file: str | None, _directory: str | None) -> ssl.SSLContext:
    return new_context()


def _has_files(directories: str) -> bool:
    return any(
        next(Path(directory).iterdir(), None) is not None
        for directory in directories.split(os.pathsep)
        if directory and Path(directory).is_dir()
    )


def _no_authority_in(name: str, path: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"{name} names {path!r}, where no certificate authority can be read. No server can be trusted.",
        hint=f"Set {name} to the PEM of your authorities, or unset it.",
        code="environment",
    )
