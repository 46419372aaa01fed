"""Send to the HTTP Event Collector (HEC) of Splunk: each event in an object with time, source type, index and fields.

Source: Splunk's manual "Getting Data In" (Format events for HTTP Event Collector, About HTTP Event Collector Indexer
Acknowledgment, Troubleshoot HTTP Event Collector). The source types are those of 1Password's own add-on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from blocks.events_api.models import Api
from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.delivery.http import SiemHttpClient, gzip_bytes, unexpected_response
from blocks.siem.delivery.protocol import NOT_TRIED, BatchResult, EncodedRecord, Limits, RejectedRecord
from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import received_rfc3339, rfc3339, to_text
from blocks.siem.formats.json_text import to_json
from blocks.siem.splunk import responses as answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from blocks.errors import SourceError
    from blocks.http.client import HttpResponse
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent

EVENT_PATH = "services/collector/event"
ACK_PATH = "services/collector/ack"
HEALTH_PATH = "services/collector/health"
BATCH_BYTES = 1_000_000  # Splunk Cloud accepts at most 1 MB in one request
BATCH_EVENTS = 2000
PARALLEL = 8  # with acknowledgement, a batch is in flight until it is indexed
ACK_SECONDS = 120.0
"""The time to wait for an acknowledgement. Then the batch is sent again."""
ACK_PAUSE, ACK_PAUSE_MAX = 0.25, 5.0
SOURCETYPES = {
    Api.SIGN_IN: "1password:insights:signin_attempts",
    Api.ITEM_USAGE: "1password:insights:item_usages",
    Api.AUDIT: "1password:insights:audit_events",
}
_OF_SPLUNK = (
    "host source sourcetype index linecount punct splunk_server timestamp"
    " _raw _time _indextime _meta _cd _bkt _si _serial _subsecond _kv"
)
RESERVED_FIELDS = frozenset(_OF_SPLUNK.split())
"""Fields that Splunk sets itself."""

_SECOND = 1_000_000_000


class SplunkSender:
    """Posts to one HEC with one token. `url` is `https://host:port`, with a path if a proxy needs one.

    `index` is the index of all events, and `indexes` overrides it for single APIs; without both, the token's default
    applies. If `host` is empty, Splunk chooses it; if `source` is empty, it is the name of the 1Password source.
    """

    limits = Limits(events=BATCH_EVENTS, bytes=BATCH_BYTES, parallel=PARALLEL)

    def __init__(
        self,
        url: str,
        token: str,
        *,
        index: str = "",
        indexes: Mapping[str, str] | None = None,
        host: str = "",
        source: str = "",
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index, self._indexes = index, dict(indexes or {})
        self._host, self._source = host, source
        self._sleep, self._now = sleep, now
        self._shared_members = HeaderCache(self._encode_shared_members)
        # Splunk numbers acknowledgements by channel, so each sender needs a channel of its own.
        headers = {"Authorization": f"Splunk {token}", "X-Splunk-Request-Channel": str(uuid4())}
        self._client = _HecClient("Splunk", url, {**headers, "Content-Type": "application/json"}, secrets=(token,))

    def __repr__(self) -> str:
        return "SplunkSender()"

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return `{"time", "sourcetype", "source", "index", "fields", "event"}`, where `event` is the document."""
        event = formatted.event
        seconds, fraction = divmod(event.time_ns, _SECOND)
        own = f'{{"time":{seconds}.{fraction:09d},'
        own_fields = (
            f'"onepassword_uuid":{_quoted(event.uuid)},"onepassword_time":"{rfc3339(event.time_ns)}",'
            f'"onepassword_received":"{received_rfc3339(event.received_ns)}"}},"event":'
        )
        return EncodedRecord(
            event,
            b"%b%b%b%b}\n"
            % (own.encode(), self._shared_members.get(formatted), own_fields.encode(), formatted.document),
        )

    def send(self, batch: Batch) -> BatchResult:
        """Send a batch. An event that HEC names as invalid is rejected, and the others are sent again at once.

        Splunk does not report whether the events before it were indexed, so they may be indexed twice.
        """
        rejected: list[RejectedRecord] = []
        ranges = [range(len(batch.records))]
        while ranges:
            part = ranges.pop()
            if part and (found := self._post(batch.records[part.start : part.stop])):
                index = part[found.index]
                rejected.append(RejectedRecord(index, found.code, found.answer))
                ranges += [range(index + 1, part.stop), range(part.start, index)]
        return BatchResult(rejected=tuple(sorted(rejected, key=lambda one: one.index)))

    def check(self) -> str:
        """Check HEC's health, and send an empty request: if the token is valid, HEC answers that there is no data."""
        self._client.checked_request("GET", HEALTH_PATH)
        response = self._client.request("POST", EVENT_PATH, b"")
        if answers.is_accepted(response) or answers.hec_code(response) == answers.NO_DATA:
            return f"Splunk is healthy and accepts the token. {NOT_TRIED}"
        raise self._refusal(response)

    def close(self) -> None:
        self._client.close()

    def _post(self, records: Sequence[EncodedRecord]) -> RejectedRecord | None:
        content = gzip_bytes(b"".join([record.data for record in records]))
        response = self._client.request("POST", EVENT_PATH, content, {"Content-Encoding": "gzip"})
        if not answers.is_accepted(response):
            if found := answers.rejected_record(response, len(records)):
                return found
            raise self._refusal(response, of_events=True)
        if (ack := answers.ack_id(response)) is not None:
            self._wait_for(ack)
        return None

    def _wait_for(self, ack: int) -> None:
        """Raises ThirdPartyGenericError if no acknowledgement comes. Splunk reports each one only once."""
        end, pause = self._now() + ACK_SECONDS, ACK_PAUSE
        while not self._is_acknowledged(ack):
            if self._now() + pause > end:
                raise answers.unacknowledged_error(ACK_SECONDS)
            self._sleep(pause)
            pause = min(2 * pause, ACK_PAUSE_MAX)

    def _is_acknowledged(self, ack: int) -> bool:
        response = self._client.request("POST", ACK_PATH, to_json({"acks": [ack]}))
        if response.is_success:
            return answers.is_acknowledged(response, ack)
        raise self._refusal(response)  # Splunk has the events, so none of them is the cause

    def _refusal(self, response: HttpResponse, *, of_events: bool = False) -> SourceError:
        if response.is_success:
            return unexpected_response("Splunk")
        if error := answers.configuration_error(response):
            return error
        return self._client.batch_error(response) if of_events else self._client.response_error(response)

    def _encode_shared_members(self, formatted: FormattedEvent) -> bytes:
        api = formatted.stream.api
        members = {
            "host": self._host,
            "source": self._source or formatted.stream.source,
            "sourcetype": sourcetype(api, formatted.format_name),
            "index": self._indexes.get(api.value) or self._index,
        }
        start = to_json({name: value for name, value in members.items() if value})
        return start[1:-1] + b',"fields":' + to_json(_fields(formatted))[:-1] + b","


class _HecClient(SiemHttpClient):
    """Reads HEC's text, so that an event found by bisection is rejected with HEC's own words."""

    def response_text(self, content: bytes) -> str:
        return super().response_text(answers.hec_text(content) or content)


def sourcetype(api: Api, format_name: str) -> str:
    """Return the add-on's source type for raw events. Its extractions fit no other format, so others have their own."""
    return SOURCETYPES[api] if format_name == "raw" else SOURCETYPES[api].replace("insights", format_name)


def field_name(name: str) -> str:
    """Return the name under which a field is sent: `field_NAME` if Splunk sets a field of that name itself."""
    return f"field_{name}" if name in RESERVED_FIELDS or name.startswith("onepassword_") else name


def _fields(formatted: FormattedEvent) -> dict[str, str]:
    """Return the indexed fields: flat, and all of them texts."""
    members = {field_name(name): to_text(value) for name, value in metadata.event_metadata(formatted).items()}
    members["onepassword_api"] = formatted.stream.api.value
    members["onepassword_event_id"] = formatted.event_id
    if formatted.account is not None:
        members["onepassword_account"] = formatted.account
    return members


def _quoted(uuid: str) -> str:
    return f'"{uuid}"' if uuid.isalnum() else to_json(uuid).decode()
