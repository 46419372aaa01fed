"""Send logs by OTLP/HTTP in protobuf, with OpenTelemetry's published definitions.

An event is a LogRecord. Timestamp is its time and ObservedTimestamp its time of receipt, to the nanosecond. Body is the
document as a text. `log.record.uid` is its uuid, by which a receiver may remove duplicates, as the semantic
conventions allow. The resource holds what is the same for all events of a stream.

How responses are handled, where the specification leaves a choice or this module deviates from it:
- A partial success reports how many records were rejected, not which ones, and the request "MUST NOT" be retried. A
  bisection would be a retry, and would store the accepted records twice. So all records of the request are rejected
  here. You can look at them and replay them.
- After 413, the batch is cut in half, and never retried as it is.
- 500 is temporary, although the specification retries only 429, 502, 503 and 504. It does not concern the events, so
  there is no reason to drop them, and proxies and collectors answer 500 while they restart.
- 400 (and 422) does not name the cause. The receiver accepted nothing of the request, so a bisection can find the
  invalid event without duplicates. If it accepts no event at all, the cause is the configuration.

Sources: OTLP specification 1.x (Partial Success, Failures, Retryable Response Codes), logs data model, semantic
conventions for logs and events.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_INFO,
    SEVERITY_NUMBER_WARN,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.http.client import user_agent
from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.delivery.http import SiemHttpClient
from blocks.siem.delivery.protocol import ACCEPTED, NOT_TRIED, BatchResult, EncodedRecord, Limits, RejectedRecord
from blocks.siem.formats import metadata
from blocks.siem.formats.event import FormattedEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.http.client import HttpResponse
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FieldValue

NAME = "The OTLP receiver"
PATH = "v1/logs"
LIMITS = Limits(
    events=2000, bytes=1_000_000
)  # vendors accept at least 1 MB; the specification recommends at most 20 MiB
PROTOBUF = {"Content-Type": "application/x-protobuf"}
EVENT_NAMES = {
    Api.SIGN_IN: "onepassword.sign_in_attempt",
    Api.ITEM_USAGE: "onepassword.item_usage",
    Api.AUDIT: "onepassword.audit_event",
}
"""EventName: the structure of an event. What happened is in `_siemEventID` and in the body."""
EVENT_ID_ATTRIBUTE = "_siemEventID"
"""The one member of the metadata that differs from event to event, so it cannot be in the resource."""

_INT64 = 1 << 63
_FIXED64, _DELIMITED = 1, 2  # protobuf's wire types: of a time, and of a text or message
_RESOURCE_LOGS = ExportLogsServiceRequest.RESOURCE_LOGS_FIELD_NUMBER
_SCOPE_LOGS = ResourceLogs.SCOPE_LOGS_FIELD_NUMBER
_LOG_RECORDS = ScopeLogs.LOG_RECORDS_FIELD_NUMBER
_BODY, _ATTRIBUTES = LogRecord.BODY_FIELD_NUMBER, LogRecord.ATTRIBUTES_FIELD_NUMBER
_TEXT, _VALUE = AnyValue.STRING_VALUE_FIELD_NUMBER, KeyValue.VALUE_FIELD_NUMBER
_TIME = LogRecord.TIME_UNIX_NANO_FIELD_NUMBER << 3 | _FIXED64
_OBSERVED = LogRecord.OBSERVED_TIME_UNIX_NANO_FIELD_NUMBER << 3 | _FIXED64
_TIMES = struct.Struct("<BQBQ")
_UID = KeyValue(key="log.record.uid").SerializeToString()


class OtlpSender:
    """One receiver. `url` is its base, to which `/v1/logs` is appended, or the whole address with that path.

    `headers` are sent with each request. Their values are secrets.
    """

    limits = LIMITS

    def __init__(
        self, url: str, headers: Mapping[str, str], service_name: str = "1password", *, compress: bool = True
    ) -> None:
        base = url.rstrip("/").removesuffix(f"/{PATH}")
        self._client = _OtlpClient(NAME, base, headers, secrets=_secrets_of(headers), compress=compress)
        name, _, version = user_agent().partition("/")
        self._scope = InstrumentationScope(name=name, version=version)
        self._service_name = service_name
        self._templates = HeaderCache(_record_template)

    def __repr__(self) -> str:
        return f"OtlpSender({self._client!r})"

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return ScopeLogs with this one LogRecord. Concatenated, they are one ScopeLogs with all records.

        The parts that differ from event to event are encoded by hand. protobuf's classes take a third more time.
        """
        event, document = formatted.event, formatted.document
        uuid = event.uuid.encode(errors="replace")
        record = b"%b%b%b%b%b%b" % (
            self._templates.get(formatted),
            _TIMES.pack(_TIME, max(event.time_ns, 0), _OBSERVED, max(event.received_ns, 0)),
            _body_header(len(document)),
            document,
            _uuid_header(len(uuid)),
            uuid,
        )
        return EncodedRecord(event, _record_header(len(record)) + record)

    def send(self, batch: Batch) -> BatchResult:
        return _batch_result(self._client.post(PATH, self._request(batch), PROTOBUF), len(batch.records))

    def check(self) -> str:
        """Send a request without records. The specification requires that it is accepted."""
        _batch_result(self._client.post(PATH, b"", PROTOBUF, with_events=False), 0)
        return f"{NAME} accepts logs. {NOT_TRIED}"

    def close(self) -> None:
        self._client.close()

    def _request(self, batch: Batch) -> bytes:
        """Return an ExportLogsServiceRequest made of encoded messages. Decoding them first took a tenth of the time."""
        of_scope = ScopeLogs(scope=self._scope).SerializeToString() + b"".join([one.data for one in batch.records])
        of_resource = ResourceLogs(resource=self._resource(batch)).SerializeToString()
        return _field(_RESOURCE_LOGS, of_resource + _field(_SCOPE_LOGS, of_scope))

    def _resource(self, batch: Batch) -> Resource:
        of_all = metadata.event_metadata(FormattedEvent(batch.records[0].event, batch.stream, "raw", b"", "", None))
        of_all.pop(EVENT_ID_ATTRIBUTE, None)
        return Resource(attributes=_attributes({"service.name": self._service_name, **of_all}))


class _OtlpClient(SiemHttpClient):
    """Reads a receiver's reason for rejecting a request: google.rpc.Status in protobuf, or a text."""

    def response_text(self, content: bytes) -> str:
        try:
            # Status has its code and message under the field numbers of the count and message of this type.
            message = ExportLogsPartialSuccess.FromString(content).error_message
        except DecodeError:
            message = ""
        return super().response_text(message.encode() if message else content)


def parse_headers(text: str) -> dict[str, str]:
    """Parse headers as in OTEL_EXPORTER_OTLP_HEADERS: `name=value,name=value`, with percent-encoded values.

    Raises ValueError if one is invalid.
    """
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    found = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    for name, value in found.items():
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise ValueError("a header with an invalid name")
        if not (value and value.isascii() and value.isprintable()):
            raise ValueError("a header without a value, or with one that a header cannot hold")
    return found


def _secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return each value, and its last word, which comes after a word such as Bearer."""
    values = [value for value in headers.values() if value]
    return (*values, *(value.rpartition(" ")[2] for value in values))


def _record_template(formatted: FormattedEvent) -> bytes:
    """Return a LogRecord with the fields that all events of a stream and an event id share."""
    known: dict[str, FieldValue] = {"onepassword.api": formatted.stream.api.value}
    of_event = metadata.event_metadata(formatted).get(EVENT_ID_ATTRIBUTE)
    if of_event is not None:
        known[EVENT_ID_ATTRIBUTE] = of_event
    if formatted.account is not None:
        known["onepassword.account"] = formatted.account
    failed = formatted.event_id.startswith("signin-") and formatted.event_id.endswith("_failed")
    made = LogRecord(
        event_name=EVENT_NAMES[formatted.stream.api],
        severity_number=SEVERITY_NUMBER_WARN if failed else SEVERITY_NUMBER_INFO,
        severity_text="WARN" if failed else "INFO",
        attributes=_attributes(known),
    )
    return made.SerializeToString()


def _field(field: int, message: bytes) -> bytes:
    """Return a message or text as a field of another message."""
    return _field_header(field, len(message)) + message


def _field_header(field: int, length: int) -> bytes:
    """Return what precedes a message or text in protobuf: the field's number and type, and the length in bytes."""
    head = [field << 3 | _DELIMITED]
    while length > 0x7F:  # noqa: PLR2004 - seven bits in each byte
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length])


@lru_cache(maxsize=8192)
def _record_header(length: int) -> bytes:
    return _field_header(_LOG_RECORDS, length)


@lru_cache(maxsize=8192)
def _body_header(length: int) -> bytes:
    """Return the bytes before a document of this length: it is the text of the value of the field `body`."""
    text = _field_header(_TEXT, length)
    return _field_header(_BODY, len(text) + length) + text


@lru_cache(maxsize=1024)
def _uuid_header(length: int) -> bytes:
    """Return the bytes before a uuid of this length: it is the text of the attribute `log.record.uid`."""
    text = _field_header(_TEXT, length)
    value = _UID + _field_header(_VALUE, len(text) + length) + text
    return _field_header(_ATTRIBUTES, len(value) + length) + value


def _attributes(known: Mapping[str, FieldValue]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in known.items()]


def _value(value: FieldValue) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def _batch_result(response: HttpResponse, records: int) -> BatchResult:
    partial = _partial_success(response)
    rejected = min(partial.rejected_log_records, records)
    if rejected <= 0:
        return ACCEPTED
    which = "all of them" if rejected == records else "and it does not say which"
    said = " ".join(partial.error_message.split())
    text = f"The receiver rejected {rejected} of {records} records, {which}{f': {said}' if said else '.'}"
    return BatchResult(rejected=tuple(RejectedRecord(index, "partial-success", text) for index in range(records)))


def _partial_success(response: HttpResponse) -> ExportLogsPartialSuccess:
    try:
        return _read(response.headers.get("content-type", "").lower(), response.content)
    except (DecodeError, ValueError, TypeError, AttributeError):
        raise ThirdPartyGenericError(
            "The response does not come from an OTLP receiver: it is not a response to an export of logs.",
            hint="Nothing counts as sent. Check the address, and look for a proxy in between.",
            code="invalid-body",
        ) from None


def _read(kind: str, content: bytes) -> ExportLogsPartialSuccess:
    if kind.startswith("application/json"):
        return _from_json(msgspec.json.decode(content or b"{}"))
    if kind.startswith("text/html"):
        raise ValueError("a web page, even if protobuf could decode its bytes")
    return ExportLogsServiceResponse.FromString(content).partial_success


def _from_json(value: Any) -> ExportLogsPartialSuccess:
    partial: dict[str, Any] = value.get("partialSuccess") or {}
    return ExportLogsPartialSuccess(
        rejected_log_records=int(partial.get("rejectedLogRecords") or 0),
        error_message=str(partial.get("errorMessage") or ""),
    )
