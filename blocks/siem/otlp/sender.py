"""Sends logs by OTLP/HTTP in protobuf, with OpenTelemetry's published definitions.

An event is a LogRecord: Timestamp is its time and ObservedTimestamp its receipt, both to the nanosecond; Body is the
document as a text; `log.record.uid` is its uuid, so that whoever keeps logs may drop what comes twice, as the
semantic conventions allow. What is the same for all events of a stream stands in the resource.

Of the answers, where the specification leaves a choice or we take one:
- A partial success tells how many records were refused, not which, and the request "MUST NOT" be retried. To find them
  by halves would be a retry, and whatever was accepted would be kept twice. So all records of the request are refused
  here, to be looked at and replayed by a person.
- 413 is never retried as it is: the batch is cut in halves.
- 500 counts as passing, though the specification retries 429, 502, 503 and 504 only. It says nothing of the events, so
  there is no reason to give them up, and proxies and collectors answer so while they restart.
- 400 (and 422) does not say what it is about. Nothing of the request was taken, so that the event which spoils it can
  be looked for by halves without a copy of any other. Where no event at all is taken, it is the configuration.

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
LIMITS = Limits(events=2000, bytes=1_000_000)  # vendors take 1 MB at least; the specification advises 20 MiB at most
PROTOBUF = {"Content-Type": "application/x-protobuf"}
EVENT_NAMES = {
    Api.SIGN_IN: "onepassword.sign_in_attempt",
    Api.ITEM_USAGE: "onepassword.item_usage",
    Api.AUDIT: "onepassword.audit_event",
}
"""EventName: the kind of an event's structure; what happened is in `_siemEventID` and in the body."""
EVENT_ID_ATTRIBUTE = "_siemEventID"
"""The one member of the metadata that differs from event to event, so it cannot stand in the resource."""

_INT64 = 1 << 63
_FIXED64, _DELIMITED = 1, 2  # protobuf's wire types of a time, and of a text or a message
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
    """One receiver. `url` is its base, to which `/v1/logs` is added, or the whole address with that path.

    `headers` go with each request; their values are secrets.
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
        """ScopeLogs with this one LogRecord. Put one after the other, they are ScopeLogs with all of them.

        What differs from event to event is put together here: by protobuf's classes it takes a third more time.
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
        """By a request without records, which the specification has accepted."""
        _batch_result(self._client.post(PATH, b"", PROTOBUF, with_events=False), 0)
        return f"{NAME} takes logs. {NOT_TRIED}"

    def close(self) -> None:
        self._client.close()

    def _request(self, batch: Batch) -> bytes:
        """An ExportLogsServiceRequest of encoded messages: to read and write them again was a tenth of the work."""
        of_scope = ScopeLogs(scope=self._scope).SerializeToString() + b"".join([one.data for one in batch.records])
        of_resource = ResourceLogs(resource=self._resource(batch)).SerializeToString()
        return _field(_RESOURCE_LOGS, of_resource + _field(_SCOPE_LOGS, of_scope))

    def _resource(self, batch: Batch) -> Resource:
        of_all = metadata.event_metadata(FormattedEvent(batch.records[0].event, batch.stream, "raw", b"", "", None))
        of_all.pop(EVENT_ID_ATTRIBUTE, None)
        return Resource(attributes=_attributes({"service.name": self._service_name, **of_all}))


class _OtlpClient(SiemHttpClient):
    """Reads what a receiver says of a request that it refuses: google.rpc.Status in protobuf, or a text."""

    def response_text(self, content: bytes) -> str:
        try:
            # Status has its code and its message under the numbers of a count and a message here.
            message = ExportLogsPartialSuccess.FromString(content).error_message
        except DecodeError:
            message = ""
        return super().response_text(message.encode() if message else content)


def parse_headers(text: str) -> dict[str, str]:
    """Headers written as in OTEL_EXPORTER_OTLP_HEADERS: `name=value,name=value`, with %20 and the like in values.

    Raises ValueError where they could not be sent.
    """
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    found = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    for name, value in found.items():
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise ValueError("a header without a proper name")
        if not (value and value.isascii() and value.isprintable()):
            raise ValueError("a header without a value, or with one that cannot be sent")
    return found


def _secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Each value, and what stands in it behind a word such as Bearer."""
    values = [value for value in headers.values() if value]
    return (*values, *(value.rpartition(" ")[2] for value in values))


def _record_template(formatted: FormattedEvent) -> bytes:
    """A LogRecord with what all events of a stream that are alike have."""
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
    """A message or text as that field of another."""
    return _field_header(field, len(message)) + message


def _field_header(field: int, length: int) -> bytes:
    """What protobuf has before a message or text of so many bytes: the field's number and type, and the length."""
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
    """Of a document of so many bytes: it is the text of the value that is the body."""
    text = _field_header(_TEXT, length)
    return _field_header(_BODY, len(text) + length) + text


@lru_cache(maxsize=1024)
def _uuid_header(length: int) -> bytes:
    """Of a uuid of so many bytes: it is the text of the value of the attribute `log.record.uid`."""
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
    text = f"The receiver refused {rejected} of {records} records, {which}{f': {said}' if said else '.'}"
    return BatchResult(rejected=tuple(RejectedRecord(index, "partial-success", text) for index in range(records)))


def _partial_success(response: HttpResponse) -> ExportLogsPartialSuccess:
    try:
        return _read(response.headers.get("content-type", "").lower(), response.content)
    except (DecodeError, ValueError, TypeError, AttributeError):
        raise ThirdPartyGenericError(
            "What answered is no OTLP receiver: it is no answer to an export of logs.",
            hint="Check its address, and what stands between. Nothing counts as sent.",
            code="invalid-body",
        ) from None


def _read(kind: str, content: bytes) -> ExportLogsPartialSuccess:
    if kind.startswith("application/json"):
        return _from_json(msgspec.json.decode(content or b"{}"))
    if kind.startswith("text/html"):
        raise ValueError("a page, whatever its bytes could be read as")
    return ExportLogsServiceResponse.FromString(content).partial_success


def _from_json(value: Any) -> ExportLogsPartialSuccess:
    told: dict[str, Any] = value.get("partialSuccess") or {}
    return ExportLogsPartialSuccess(
        rejected_log_records=int(told.get("rejectedLogRecords") or 0), error_message=str(told.get("errorMessage") or "")
    )
