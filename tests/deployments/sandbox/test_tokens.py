"""The sandbox's tokens: what a good one allows, and that all bad ones look the same."""

from __future__ import annotations

import jwt
import pytest

from deployments.sandbox.tokens import LEGACY_AUDIENCE, MalformedTokenError, TokenIssuer
from deployments.sandbox.vocabulary import APIS

HOST = "127.0.0.1:4000"
NOW = 1_795_000_000


class Clock:
    """A clock that the test sets, in seconds."""

    now = float(NOW)

    def now_ns(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> TokenIssuer:
    return made(clock)


def made(clock: Clock, seed: int = 1, host: str = HOST) -> TokenIssuer:
    return TokenIssuer(seed, host, clock)  # type: ignore[arg-type]


def test_a_token_allows_what_it_was_issued_for(issuer: TokenIssuer) -> None:
    grant = issuer.check(issuer.issue(["auditevents"], expires_in=60.5, account="ACCOUNT"))
    assert grant is not None
    assert (grant.scopes, grant.account, grant.issued_at, grant.expires_at) == (
        ("auditevents",),
        "ACCOUNT",
        NOW,
        NOW + 60,
    )
    everything = issuer.check(issuer.issue())
    assert everything is not None
    assert (set(everything.scopes), everything.expires_at) == (set(APIS), None)


def test_a_token_expires_also_once_it_was_used(issuer: TokenIssuer, clock: Clock) -> None:
    token = issuer.issue(expires_in=60)
    assert issuer.check(token)
    clock.now += 59
    assert issuer.check(token)
    clock.now += 1
    assert issuer.check(token) is None


def test_a_revoked_token_is_none_also_once_it_was_used(issuer: TokenIssuer) -> None:
    token, other = issuer.issue(), issuer.issue()
    assert issuer.check(token)
    issuer.revoke(token)
    assert issuer.check(token) is None
    assert issuer.check(other)


def test_a_token_stays_valid_after_a_restart_with_the_same_seed_on_another_port(clock: Clock) -> None:
    token = made(clock).issue()
    assert made(clock, host="127.0.0.1:5000").check(token)
    assert made(clock, seed=2).check(token) is None, "another key has signed it"


def test_a_token_of_another_host_is_none_and_one_of_the_old_audience_is_valid(issuer: TokenIssuer) -> None:
    assert issuer.check(issuer.issue(audience="events.1password.eu")) is None
    assert issuer.check(issuer.issue(audience=LEGACY_AUDIENCE))


def test_a_forged_token_is_none_and_half_a_token_is_malformed(issuer: TokenIssuer) -> None:
    token = issuer.issue()
    head, claims, signature = token.split(".")
    of_another = issuer.issue().rpartition(".")[2]
    assert issuer.check(f"{head}.{claims}.{of_another}") is None
    for text in ("", "text", f"{head}.{claims}", f"{head}.{claims[:9]}.{signature}", f"{token}.x"):
        with pytest.raises(MalformedTokenError):
            issuer.check(text)
    unsigned = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", algorithm="none")
    assert issuer.check(unsigned) is None
