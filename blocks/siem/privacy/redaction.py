"""Mask, hash and remove members of an event, and change nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import msgspec

from blocks.siem.privacy import json_members

if TYPE_CHECKING:
    from blocks.siem.privacy.json_members import Member

Change = Callable[[bytes], bytes | None]
"""Maps a scalar value, as JSON, to its new JSON. None removes the member. An unchanged value is the same object."""

HASHES_KEPT = 4096  # entries; a few people cause most events


class Redaction:
    """The changes of members, as a tree of their names. The first change of a member counts.

    A change of an object applies to all its members, except those that have a change of their own already.
    """

    __slots__ = ("_change", "_inner")

    def __init__(self) -> None:
        self._change: Change | None = None
        self._inner: dict[str, Redaction] = {}

    def set_change(self, path: tuple[str, ...], change: Change) -> None:
        """Add a change of the member at `path`, unless it already has one."""
        if self._change is not None:
            return
        if not path:
            self._change = change
            return
        self._inner.setdefault(path[0], Redaction()).set_change(path[1:], change)

    def apply(self, data: bytes, outer: Change | None = None) -> bytes | None:
        """Return the changed JSON: the same object if nothing changes, None if it is removed. Raises ValueError."""
        change = self._change or outer
        if change is remove and not self._inner:
            return None
        if not self._inner or data[:1] not in {b"{", b"["}:
            return json_members.change_scalars(data, change) if change else data
        return self._of_object(data, change) if data[:1] == b"{" else self._of_array(data, change)

    def _of_object(self, data: bytes, change: Change | None) -> bytes:
        found = json_members.parse_fast(data)
        if found is not None:
            return json_members.join_fast(found) if self._change_members(found, change) else data
        before = json_members.parse_slow(data)
        after = [one for member in before if (one := self._changed_member(member, change))]
        return data if after == before else json_members.join_members(after)

    def _change_members(self, found: dict[str, msgspec.Raw], change: Change | None) -> bool:
        changed = False
        for key in [*found] if change else [key for key in self._inner if key in found]:
            value = bytes(found[key])
            new = self._inner.get(key, _OTHER).apply(value, change)
            if new is None:
                del found[key]
            elif new is not value:
                found[key] = msgspec.Raw(new)
            changed = changed or new is not value
        return changed

    def _changed_member(self, member: Member, change: Change | None) -> Member | None:
        value = self._inner.get(member.key, _OTHER).apply(member.value, change)
        return None if value is None else member._replace(value=value)

    def _of_array(self, data: bytes, change: Change | None) -> bytes:
        before = json_members.elements(data)
        after = [one for element in before if (one := self.apply(element, change)) is not None]
        return data if after == before else b"[%b]" % b",".join(after)


_OTHER = Redaction()


def mask(leaf: bytes) -> bytes:
    """Mask a value: a text becomes "***", a number, true or false null, since another value could pass for real."""
    if leaf == b"null":
        return leaf
    return b'"***"' if leaf[:1] == b'"' else b"null"


def hash_change(key: bytes) -> Change:
    """Return a change to the HMAC-SHA-256 of a value with `key`, in hexadecimal digits. null stays null.

    The hash is that of the text in UTF-8, or of the JSON of a number, true or false.
    """
    return lru_cache(maxsize=HASHES_KEPT)(partial(_hash, key))


def remove(_: bytes) -> None:
    """Remove a value with its member."""


def _hash(key: bytes, leaf: bytes) -> bytes:
    if leaf == b"null":
        return leaf
    text = json_members.text_of(leaf).encode(errors="surrogatepass")
    return b'"%b"' % hmac.digest(key, text, "sha256").hex().encode()
