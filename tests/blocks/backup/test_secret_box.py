"""Secrets are opened by their passphrase and by nothing else."""

from __future__ import annotations

import json

import pytest

from blocks.backup import secret_box
from blocks.errors import FirstPartyGenericError, SourceError, ThirdPartyConfigError

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def sealed() -> bytes:
    """The encryption takes a quarter of a second, by design."""
    return secret_box.seal(b"the token of the account", PASSPHRASE)


def test_the_passphrase_opens_it_and_no_secret_is_legible(sealed: bytes) -> None:
    assert b"token" not in sealed
    assert secret_box.unseal(sealed, PASSPHRASE) == b"the token of the account"
    assert secret_box.seal(b"the token of the account", PASSPHRASE) != sealed


def test_another_passphrase_is_refused_in_words(sealed: bytes) -> None:
    with pytest.raises(ThirdPartyConfigError, match="not the one of this backup") as refused:
        secret_box.unseal(sealed, PASSPHRASE + " ")
    assert PASSPHRASE not in str(refused.value)


def test_a_changed_byte_is_refused(sealed: bytes) -> None:
    start = sealed.index(b"\n")
    for place in (start - 5, start + 1, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SourceError):
            secret_box.unseal(bytes(changed), PASSPHRASE)


@pytest.mark.parametrize("change", [{"n": 2**40}, {"n": 3}, {"r": 1000}, {"p": 0}, {"kdf": "argon2id"}, {"more": 1}])
def test_parameters_that_would_take_the_memory_are_refused(sealed: bytes, change: dict[str, object]) -> None:
    line, _, rest = sealed.partition(b"\n")
    header = json.dumps(json.loads(line) | change).encode()
    with pytest.raises(FirstPartyGenericError, match="cannot read"):
        secret_box.unseal(header + b"\n" + rest, PASSPHRASE)
