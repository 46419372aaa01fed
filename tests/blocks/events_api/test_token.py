from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.events_api.token import TokenClaims, read_claims

KEY = ec.generate_private_key(ec.SECP256R1())


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, KEY, algorithm="ES256")


def unsigned(payload: bytes, header: bytes = b'{"alg":"ES256","typ":"JWT"}') -> str:
    parts = (header, payload, b"signature")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_the_claims_of_a_token_as_1password_makes_it() -> None:
    token = signed(
        {
            "aud": ["events.1password.eu"],
            "1password.com/fts": ["signinattempts", "auditevents"],
            "1password.com/auuid": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "iat": 1700000000,
            "nbf": 1700000000,
            "exp": 1800000000,
            "iss": "com.1password.b5",
            "sub": "S",
            "jti": "J",
        }
    )
    assert read_claims(token) == TokenClaims(
        host="events.1password.eu",
        scopes=frozenset({"signinattempts", "auditevents"}),
        account_uuid="ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        issued_at=1700000000.0,
        expires_at=1800000000.0,
    )


def test_an_expired_token_of_the_future_with_a_bad_signature_is_read_all_the_same() -> None:
    token = signed({"exp": 1, "nbf": 9_999_999_999, "iat": 9_999_999_999})
    claims = read_claims(f"{token[:-4]}AAAA")
    assert claims is not None
    assert claims.expires_at == 1.0


def test_an_old_token_names_no_host_and_one_without_end_never_expires() -> None:
    nothing = TokenClaims(host=None, scopes=frozenset(), account_uuid=None, issued_at=None, expires_at=None)
    assert read_claims(signed({"aud": ["com.1password.streamingservice"]})) == nothing
    assert read_claims(signed({})) == nothing


def test_the_first_of_several_audiences_is_the_host() -> None:
    claims = read_claims(signed({"aud": ["Events.1password.CA", "events.1password.com"]}))
    assert claims is not None
    assert claims.host == "events.1password.ca"


@pytest.mark.parametrize("audience", ["events.1password.com", "127.0.0.1:8000"])
def test_an_audience_that_is_a_text_and_one_with_a_port(audience: str) -> None:
    claims = read_claims(signed({"aud": audience}))
    assert claims is not None
    assert claims.host == audience


@pytest.mark.parametrize(
    "token",
    [
        "",
        "acsac25$",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "..",
        "é.é.é",
        "\ud800.a.b",
        unsigned(b"[]"),
        unsigned(b"null"),
        unsigned(b"not json"),
        unsigned(b"\xff"),
        unsigned(b"[" * 100_000),
        unsigned(b'{"exp":' + b"9" * 5000 + b"}"),
        unsigned(b"{}", header=b"[]"),
    ],
)
def test_what_is_no_token_of_three_parts(token: str) -> None:
    assert read_claims(token) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": []},
        {"aud": {}},
        {"aud": [1]},
        {"aud": [None, "events.1password.com"]},
        {"aud": ["https://events.1password.com/x"]},
        {"aud": ["a" * 300]},
        {"1password.com/fts": "signinattempts"},
        {"1password.com/fts": [1, None, {}]},
        {"1password.com/auuid": 5},
        {"1password.com/auuid": ""},
        {"exp": "soon"},
        {"exp": True},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"iat": [], "nbf": {}, "sub": 1, "jti": 2, "iss": 3},
    ],
)
def test_a_claim_of_a_strange_kind_is_as_if_it_were_not_there(claims: dict[str, Any]) -> None:
    nothing = TokenClaims(host=None, scopes=frozenset(), account_uuid=None, issued_at=None, expires_at=None)
    assert read_claims(unsigned(json.dumps(claims).encode())) == nothing


@settings(deadline=None)
@given(st.text())
def test_any_text_has_claims_or_none(text: str) -> None:
    assert read_claims(text) is None or text.count(".") == 2


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_any_bytes_in_the_parts_have_claims_or_none(payload: bytes, header: bytes) -> None:
    read_claims(unsigned(payload))
    read_claims(unsigned(payload, header))
