"""The names that a source or a SIEM has on a Prefect server. They follow from its own name alone."""

from __future__ import annotations

import hashlib
import re
import unicodedata

BLOCK_NAME_MAX = 60
_HASH_BYTES = 5
_TO = " to "
_BANNED = re.compile(r"[/%&<>]")  # what a deployment's name may not hold


def deployment_name(name: str) -> str:
    """The name itself where Prefect allows it; otherwise with dashes and a short hash."""
    if not _BANNED.search(name):
        return name
    return f"{_BANNED.sub('-', name)}-{_hash(name)}"


def forward_name(source: str, siem: str) -> str:
    """The name of the deployment that forwards a source to a SIEM: `1Pass to soc`, and no other pair's."""
    plain = deployment_name(f"{source}{_TO}{siem}")
    return f"{plain}-{_hash(f'{len(source)} {source}{siem}')}" if _TO in source or _TO in siem else plain


def block_name(name: str) -> str:
    """A slug of a-z, 0-9 and dashes with a short hash, at most 60 characters: `1pass-…` for `1Pass`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[: BLOCK_NAME_MAX - 2 * _HASH_BYTES - 1].strip("-")
    return f"{slug or 'source'}-{_hash(name)}"


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=_HASH_BYTES).hexdigest()
