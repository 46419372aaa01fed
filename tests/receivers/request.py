"""A request to a receiver, and the response of a vendor."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(frozen=True, slots=True)
class Request:
    """Names of headers are in lower case; `path` has the query; `body` is uncompressed.

    `half`: the vendor rejects every second record, if its protocol can.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    half: bool = False


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """The uuids of the accepted events (with repetitions), and the response."""

    uuids: list[str] = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Vendor(Protocol):
    """How one SIEM handles a request. Several threads call it."""

    def respond(self, request: Request) -> VendorResponse: ...


def decompress(body: bytes, encoding: str) -> bytes:
    return zlib.decompress(body, _WINDOWS[encoding]) if encoding in _WINDOWS else body


class _Ecs(msgspec.Struct):
    uuid: str = ""


class _Ocsf(msgspec.Struct):
    uid: str = ""


class _Document(msgspec.Struct):
    """The uuid stands at the top (raw, and in the envelope), or where ECS and OCSF have it."""

    uuid: str = ""
    onepassword: _Ecs | None = None
    metadata: _Ocsf | None = None


_read = msgspec.json.Decoder(_Document).decode


def uuid_of(document: bytes | msgspec.Raw) -> str:
    """Return the uuid of an event in any format, alone or in an envelope. Raises ValueError if there is none."""
    found = _read(document)
    uuid = found.uuid or (found.onepassword and found.onepassword.uuid) or (found.metadata and found.metadata.uid)
    if not uuid:
        raise ValueError("There is no uuid in what arrived.")
    return uuid


def uuids_of(documents: Iterable[bytes]) -> list[str]:
    return [uuid_of(document) for document in documents if document]
