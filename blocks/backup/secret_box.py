"""Content that only a passphrase opens: scrypt derives the key, AES-256-GCM encrypts and authenticates.

The first line is JSON in ASCII with the parameters; the rest is the ciphertext with its tag. The line is authenticated
too, so that its parameters cannot be changed.
"""

from __future__ import annotations

import os
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError

N, R, P = 2**16, 8, 2  # 64 MiB of memory; OWASP's Password Storage Cheat Sheet lists it as equal to 2**17, 8, 1
N_MAX, R_MAX, P_MAX = 2**20, 16, 16
KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12
HEADER_MAX = 1024


class BoxHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters; `salt` and `nonce` are hexadecimal."""

    salt: str
    nonce: str
    kdf: Literal["scrypt"] = "scrypt"
    n: int = N
    r: int = R
    p: int = P
    cipher: Literal["aes-256-gcm"] = "aes-256-gcm"


def seal(content: bytes, passphrase: str) -> bytes:
    """Encrypt the content."""
    header = BoxHeader(os.urandom(SALT_BYTES).hex(), os.urandom(NONCE_BYTES).hex())
    line = msgspec.json.encode(header)
    return line + b"\n" + _cipher(header, passphrase).encrypt(bytes.fromhex(header.nonce), content, line)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """Decrypt it.

    Raises ThirdPartyConfigError if the passphrase is another one, FirstPartyGenericError if the parameters are not
    those that a program of this version can read.
    """
    line, _, ciphertext = sealed[: HEADER_MAX + 1].partition(b"\n")
    ciphertext = sealed[len(line) + 1 :]
    try:
        header = msgspec.json.decode(line, type=BoxHeader)
        nonce = bytes.fromhex(header.nonce)
        bytes.fromhex(header.salt)
    except (msgspec.MsgspecError, ValueError):
        raise _unreadable() from None
    power_of_two = header.n > 1 and header.n & (header.n - 1) == 0
    if not (power_of_two and header.n <= N_MAX and 0 < header.r <= R_MAX and 0 < header.p <= P_MAX):
        raise _unreadable()
    try:
        return _cipher(header, passphrase).decrypt(nonce, ciphertext, line)
    except InvalidTag:
        raise ThirdPartyConfigError(
            "The passphrase is not the one of this backup. Nothing was restored.",
            hint="Give the passphrase that was set when the backup was made. Without it, restore the events alone "
            "with --without-secrets, and apply your sources and SIEMs again.",
            code="passphrase",
        ) from None


def _cipher(header: BoxHeader, passphrase: str) -> AESGCM:
    kdf = Scrypt(salt=bytes.fromhex(header.salt), length=KEY_BYTES, n=header.n, r=header.r, p=header.p)
    return AESGCM(kdf.derive(passphrase.encode()))


def _unreadable() -> FirstPartyGenericError:
    return FirstPartyGenericError(
        "The secrets of this backup are encrypted in a way that this version cannot read. Nothing was restored.",
        hint="Restore it with the version of this program that made it, or a newer one.",
        code="backup-secrets",
    )
