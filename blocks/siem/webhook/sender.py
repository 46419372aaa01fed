"""Send to any webhook: a request holds a batch of events, as one JSON array or as one JSON object on each line.

The array is the default, because `verify` of the JavaScript libraries of Standard Webhooks and Svix parses the body.

Requests are signed by the Standard Webhooks specification 1.0.0 with `webhook-id`, `webhook-timestamp` and
`webhook-signature`. A signature is `v1,` and the base64 of an HMAC-SHA-256 over `id.timestamp.body`, where the body is
not compressed yet. With several secrets there is a signature by each, so that you can rotate a secret.

`webhook-id` is made of the batch's name and content. The same events sent again have the same id, so a receiver can use
it as an idempotency key; other events never have it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Literal, NoReturn
from urllib.parse import urlsplit

from blocks import clock
from blocks.siem.delivery.http import SiemHttpClient
from blocks.siem.delivery.protocol import ACCEPTED, NOT_TRIED, BatchResult, EncodedRecord, Limits
from blocks.siem.formats.raw import envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent

BodyFormat = Literal["json-array", "ndjson"]

NAME = "The webhook"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret
SECRET_MIN, SECRET_MAX = 24, 64  # bytes, by the specification
CONTENT_TYPES: Mapping[BodyFormat, str] = {"ndjson": "application/x-ndjson", "json-array": "application/json"}
RESERVED_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Headers that the sender sets itself, so a configuration cannot."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,150}")
_ID_BYTES = 12
_SECRET_LEAST = 8  # characters; masking shorter texts would garble the receiver's answers


class WebhookSender:
    """One webhook. `keys` are what `parse_signing_secrets` returns; without any, requests are not signed."""

    def __init__(
        self,
        url: str,
        body_format: BodyFormat,
        *,
        limits: Limits,
        keys: Sequence[bytes] = (),
        headers: Mapping[str, str] | None = None,
        compress: bool = False,
    ) -> None:
        self.limits = limits
        self._url = url  # the whole URL: httpx adds a slash to a base URL
        self._format = body_format
        self._keys = tuple(keys)
        given = dict(headers or {})
        self._client = SiemHttpClient(NAME, url, given, secrets=_secrets_of(url, given), compress=compress)

    def __repr__(self) -> str:
        return f"WebhookSender({self._format!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A WebhookSender is not pickled: it holds a secret. Open another one.")

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return the event in its envelope, and the separator after it."""
        return EncodedRecord(formatted.event, envelope(formatted) + (b"\n" if self._format == "ndjson" else b","))

    def send(self, batch: Batch) -> BatchResult:
        """Post a batch. Any 2xx response acknowledges all of it."""
        self._post(batch.name, b"".join([record.data for record in batch.records]))
        return ACCEPTED

    def check(self) -> str:
        """Post a batch without events, signed like any other."""
        self._post("check", b"")
        return f"The webhook accepts a batch without events. {NOT_TRIED}"

    def close(self) -> None:
        self._client.close()

    def _post(self, name: str, events: bytes) -> None:
        body = events if self._format == "ndjson" else b"[%b]" % events.removesuffix(b",")
        made = {"Content-Type": CONTENT_TYPES[self._format], "webhook-id": webhook_id(name, body)}
        headers = made | self._signature(made["webhook-id"], body)
        self._client.post(self._url, body, headers, with_events=bool(events))

    def _signature(self, webhook_id: str, body: bytes) -> dict[str, str]:
        time = str(int(clock.now()))
        if not self._keys:
            return {"webhook-timestamp": time}
        return {"webhook-timestamp": time, "webhook-signature": signature(self._keys, webhook_id, time, body)}


def signature(keys: Sequence[bytes], webhook_id: str, time: str, body: bytes) -> str:
    """Return a signature by each key, separated by spaces. `time` is in seconds since 1970."""
    signed = b"%b.%b.%b" % (webhook_id.encode(), time.encode(), body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def webhook_id(name: str, body: bytes) -> str:
    """Return the id of a batch: its name, if a header can hold it and it has no dot, and a digest of its content."""
    digest = hashlib.blake2b(body, digest_size=_ID_BYTES).hexdigest()
    return f"{name}-{digest}" if _ID.fullmatch(name) else digest


def parse_signing_secrets(secrets: str) -> list[bytes]:
    """Return the keys of signing secrets, which are separated by white space. Raises ValueError."""
    return [_signing_key(secret) for secret in secrets.split()]


def parse_headers(text: str) -> dict[str, str]:
    """Parse headers as HTTP writes them, `Name: value`, one on each line. Raises ValueError if one is invalid."""
    pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    for name, value in found.items():
        if not _HEADER.fullmatch(name):
            raise ValueError("a header has an invalid name")
        if name.lower() in RESERVED_HEADERS:
            raise ValueError(f"{name} is set by the sender itself")
        if not (value and value.isascii() and value.isprintable()):
            raise ValueError(f"{name} has no value, or one that a header cannot hold")
    return found


def _signing_key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret does not begin with {SECRET_PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
    if not SECRET_MIN <= len(key) <= SECRET_MAX:
        raise ValueError(f"a key has {len(key)} bytes")
    return key


def _secrets_of(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets of a request: the URL except its host, and the headers' values."""
    address = urlsplit(url)
    values = [*headers.values(), *(value.rpartition(" ")[2] for value in headers.values())]
    parts = [address.path, address.query, address.path.rpartition("/")[2]]
    return tuple(part for part in (*values, *parts) if len(part) >= _SECRET_LEAST)
