"""Send to an HTTP Logs Source of Sumo Logic: one event on each line, and its metadata in the request's headers.

Source: https://www.sumologic.com/help/docs/send-data/hosted-collectors/http-source/logs-metrics/upload-logs/: events in
UTF-8, one on a line; 100 KB to 1 MB in a request before compression; X-Sumo-Name, -Host, -Category and -Fields hold for
the whole request; anyone who has the URL may send, so the URL is the secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx

from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.delivery.http import SiemHttpClient, is_html, unexpected_response
from blocks.siem.delivery.protocol import ACCEPTED, NOT_TRIED, EncodedRecord, Limits
from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import received_rfc3339, to_text

if TYPE_CHECKING:
    from blocks.http.client import HttpResponse
    from blocks.siem.delivery.protocol import Batch, BatchResult
    from blocks.siem.formats.event import FieldValue, FormattedEvent, StreamMetadata

BATCH_BYTES = 1_000_000  # Sumo Logic's recommended maximum, before compression
BATCH_EVENTS = 5000
PARALLEL = 4
SENT_AS_HEADERS = frozenset({"_source", "_sourceCategory"})
"""Metadata that is sent as X-Sumo-Name and X-Sumo-Category, not as a field."""

_NO_TEXT = re.compile(r"[^\x20-\x7e]")
_NO_VALUE = re.compile(r"[^\x20-\x7e]|,")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class SumoLogicSender:
    """Posts to one HTTP source. `url` is its whole address, with the code at its end.

    If `name` or `category` is empty, it is the source's; an empty `host` is not sent. There is no idempotency key: a
    request that is sent again after a lost response or a 408 may be stored twice.
    """

    limits = Limits(events=BATCH_EVENTS, bytes=BATCH_BYTES, parallel=PARALLEL)

    def __init__(self, url: str, *, name: str = "", host: str = "", category: str = "") -> None:
        parsed = httpx.URL(url)
        self._path = parsed.raw_path.decode()
        self._name, self._host, self._category = name, host, category
        origin = str(parsed.copy_with(raw_path=b"/"))
        self._client = SiemHttpClient("Sumo Logic", origin, {"Content-Type": "text/plain"}, secrets=url_secrets(url))
        self._fields = HeaderCache(_fields)

    def __repr__(self) -> str:
        return "SumoLogicSender()"

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return a line. Events with equal fields and receive times are one group, since they share the headers."""
        fields = f"{self._fields.get(formatted)},onepassword_received={received_rfc3339(formatted.event.received_ns)}"
        return EncodedRecord(formatted.event, formatted.document + b"\n", (fields,))

    def send(self, batch: Batch) -> BatchResult:
        content = b"".join([record.data for record in batch.records])
        headers = {**self._stream_headers(batch.stream), "X-Sumo-Fields": batch.group[0]}
        _require_accepted(self._client.post(self._path, content, headers))
        return ACCEPTED

    def check(self) -> str:
        """Send an empty request: Sumo Logic checks the address, and stores nothing."""
        _require_accepted(self._client.checked_request("POST", self._path, b""))
        return f"Sumo Logic knows the address of the HTTP source. {NOT_TRIED}"

    def close(self) -> None:
        self._client.close()

    def _stream_headers(self, stream: StreamMetadata) -> dict[str, str]:
        members = {"X-Sumo-Name": self._name or stream.source, "X-Sumo-Host": self._host}
        members["X-Sumo-Category"] = self._category or stream.category or ""
        return {name: header_value(value) for name, value in members.items() if value}


def _require_accepted(response: HttpResponse) -> None:
    """Raises ThirdPartyGenericError unless the response is 200 and not a web page: only that acknowledges a batch."""
    if response.status_code != httpx.codes.OK or is_html(response):
        raise unexpected_response("Sumo Logic")


def header_value(value: str) -> str:
    """Return a text as a header can hold it. Characters outside printable ASCII become `_`."""
    return _NO_TEXT.sub("_", value).strip()


def field_pair(name: str, value: FieldValue) -> str:
    """Return `name=value` for X-Sumo-Fields. The header has no escapes, so a comma becomes `_`, too."""
    text = to_text(value)
    return f"{_NO_NAME.sub('_', name)}={_NO_VALUE.sub('_', text).strip()}"


def url_secrets(url: str) -> tuple[str, ...]:
    """Return the secrets in a URL: the whole URL and its code. Either one is enough to send events."""
    code = httpx.URL(url).path.rstrip("/").rpartition("/")[2]
    return (url, code)


def _fields(formatted: FormattedEvent) -> str:
    members = {name: value for name, value in metadata.event_metadata(formatted).items() if name not in SENT_AS_HEADERS}
    members["onepassword_api"] = formatted.stream.api.value
    if formatted.account is not None:
        members["onepassword_account"] = formatted.account
    return ",".join(field_pair(name, value) for name, value in members.items())
