"""To the HTTP Event Collector (HEC) of Splunk: each event in an object with its time, source type, index and fields.

From Splunk's manual "Getting Data In" (Format events for HTTP Event Collector, About HTTP Event Collector Indexer
Acknowledgment, Troubleshoot HTTP Event Collector). The source types are those of 1Password's own add-on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from blocks.events_api.models import Api
from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.delivery.http import SiemHttpClient, no_yes
from blocks.siem.delivery.packing import gzipped
from blocks.siem.delivery.protocol import NOT_TRIED, BatchResult, Limits, Record, RejectedRecord
from blocks.siem.formats import metadata
from blocks.siem.formats.json_text import encoded
from blocks.siem.formats.timestamp import received, rfc3339
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
BATCH_BYTES = 1_000_000  # Splunk Cloud takes no more than 1 MB in one request
BATCH_EVENTS = 2000
PARALLEL = 8  # with acknowledgement, a request is on its way until it is indexed
ACK_SECONDS = 120.0
"""How long an acknowledgement is waited for. Then the batch is sent again."""
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
OF_SPLUNK = frozenset(_OF_SPLUNK.split())
"""Fields that Splunk sets itself."""

_SECOND = 1_000_000_000


class SplunkSender:
    """Posts to one HEC with one token. `url` is `https://host:port`, where something stands before it with a path.

    `index` is where events go, `indexes` says otherwise for some APIs; with neither, the token's own default.
    Empty, `host` and `source` are Splunk's choice and the name of the 1Password source.
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
        self._heads = HeaderCache(self._head)
        # Splunk counts acknowledgements by channel, so that each sender needs one of its own.
        headers = {"Authorization": f"Splunk {token}", "X-Splunk-Request-Channel": str(uuid4())}
        self._client = _HecClient("Splunk", url, {**headers, "Content-Type": "application/json"}, secrets=(token,))

    def __repr__(self) -> str:
        return "SplunkSender()"

    def encode(self, shaped: FormattedEvent) -> Record:
        """`{"time", "sourcetype", "source", "index", "fields", "event"}`: the event is the document as it stands."""
        event = shaped.event
        seconds, fraction = divmod(event.time_ns, _SECOND)
        own = f'{{"time":{seconds}.{fraction:09d},'
        own_fields = (
            f'"onepassword_uuid":{_quoted(event.uuid)},"onepassword_time":"{rfc3339(event.time_ns)}",'
            f'"onepassword_received":"{received(event.received_ns)}"}},"event":'
        )
        return Record(
            event, b"%b%b%b%b}\n" % (own.encode(), self._heads.get(shaped), own_fields.encode(), shaped.document)
        )

    def send(self, batch: Batch) -> BatchResult:
        """An event that HEC names as bad is refused for good, and those around it are sent again at once.

        Splunk does not say whether those before it were indexed, so they may be there twice.
        """
        refused: list[RejectedRecord] = []
        ranges = [range(len(batch.records))]
        while ranges:
            part = ranges.pop()
            if part and (found := self._post(batch.records[part.start : part.stop])):
                bad = part[found.index]
                refused.append(RejectedRecord(bad, found.code, found.answer))
                ranges += [range(bad + 1, part.stop), range(part.start, bad)]
        return BatchResult(rejected=tuple(sorted(refused, key=lambda one: one.index)))

    def check(self) -> str:
        """HEC's health, and an empty request: HEC answers that it has no data where it takes the token."""
        self._client.ask("GET", HEALTH_PATH)
        response = self._client.reply("POST", EVENT_PATH, b"")
        if answers.is_yes(response) or answers.code_of(response) == answers.NO_DATA:
            return f"Splunk is healthy and takes the token. {NOT_TRIED}"
        raise self._refusal(response)

    def close(self) -> None:
        self._client.close()

    def _post(self, records: Sequence[Record]) -> RejectedRecord | None:
        content = gzipped(b"".join([record.data for record in records]))
        response = self._client.reply("POST", EVENT_PATH, content, {"Content-Encoding": "gzip"})
        if not answers.is_yes(response):
            if found := answers.refused(response, len(records)):
                return found
            raise self._refusal(response, of_events=True)
        if (ack := answers.ack_of(response)) is not None:
            self._wait_for(ack)
        return None

    def _wait_for(self, ack: int) -> None:
        """Raises ThirdPartyGenericError where the acknowledgement does not come. Splunk says yes only once."""
        end, pause = self._now() + ACK_SECONDS, ACK_PAUSE
        while not self._is_acknowledged(ack):
            if self._now() + pause > end:
                raise answers.unacknowledged(ACK_SECONDS)
            self._sleep(pause)
            pause = min(2 * pause, ACK_PAUSE_MAX)

    def _is_acknowledged(self, ack: int) -> bool:
        response = self._client.reply("POST", ACK_PATH, encoded({"acks": [ack]}))
        if response.is_success:
            return answers.is_acknowledged(response, ack)
        raise self._refusal(response)  # Splunk has the events: none of them is to blame

    def _refusal(self, response: HttpResponse, *, of_events: bool = False) -> SourceError:
        if response.is_success:
            return no_yes("Splunk")
        if error := answers.of_configuration(response):
            return error
        return self._client.refusal_of_events(response) if of_events else self._client.refusal(response)

    def _head(self, shaped: FormattedEvent) -> bytes:
        api = shaped.stream.api
        told = {
            "host": self._host,
            "source": self._source or shaped.stream.source,
            "sourcetype": sourcetype_of(api, shaped.shape),
            "index": self._indexes.get(api.value) or self._index,
        }
        start = encoded({name: value for name, value in told.items() if value})
        return start[1:-1] + b',"fields":' + encoded(_fields(shaped))[:-1] + b","


class _HecClient(SiemHttpClient):
    """Reads what HEC says of a request, so that an event found by halves is refused in its words."""

    def told(self, content: bytes) -> str:
        return super().told(answers.words(content) or content)


def sourcetype_of(api: Api, shape: str) -> str:
    """The add-on's name for raw events; its extractions fit no other shape, so others have names of their own."""
    return SOURCETYPES[api] if shape == "raw" else SOURCETYPES[api].replace("insights", shape)


def field_name(name: str) -> str:
    """A field that Splunk sets itself is sent as `field_NAME`."""
    return f"field_{name}" if name in OF_SPLUNK or name.startswith("onepassword_") else name


def _fields(shaped: FormattedEvent) -> dict[str, str]:
    """Indexed fields are flat, and texts."""
    told = {field_name(name): _text(value) for name, value in metadata.event_metadata(shaped).items()}
    told["onepassword_api"] = shaped.stream.api.value
    told["onepassword_event_id"] = shaped.event_id
    if shaped.account is not None:
        told["onepassword_account"] = shaped.account
    return told


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(uuid: str) -> str:
    return f'"{uuid}"' if uuid.isalnum() else encoded(uuid).decode()
