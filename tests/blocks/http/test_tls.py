"""Which authorities are trusted, and what happens where they are missing."""

from __future__ import annotations

import os

import httpx
import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.http import proxies, tls


def test_certificates_that_are_not_there_are_taken_out_and_stop_https(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE_AS_SET", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    monkeypatch.delenv("SSL_CERT_FILE_AS_SET")
    (sentence,) = proxies.make_readable(os.environ)
    assert "SSL_CERT_FILE names '/nowhere/authority.pem'" in sentence
    assert "SSL_CERT_FILE" not in os.environ
    httpx.Client().close()
    with pytest.raises(ThirdPartyConfigError, match="SSL_CERT_FILE names"):
        tls.trusted()
