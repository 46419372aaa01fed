"""An OTLP/HTTP receiver, by OpenTelemetry's published definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from receivers.request import VendorResponse

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from receivers.request import Request

PROTOBUF = "application/x-protobuf"


class Otlp:
    """For `half`, the answer does not name the rejected records. `warning` is sent with answers that accept all."""

    def __init__(self) -> None:
        self.exports: list[ExportLogsServiceRequest] = []
        self.keep = False
        self.warning = ""

    def respond(self, request: Request) -> VendorResponse:
        if request.path != "/v1/logs":
            return VendorResponse(status=404, body=b"404 page not found")
        if request.headers.get("content-type") != PROTOBUF:
            return VendorResponse(status=415, body=b"unsupported media type")
        try:
            export = ExportLogsServiceRequest.FromString(request.body)
        except DecodeError:
            return _status(400, "what was sent cannot be parsed as logs")
        if self.keep:
            self.exports.append(export)
        uids = [uid_of(record) for record in records_of(export)]
        if request.half:
            kept = uids[::2]
            return _answer(kept, len(uids) - len(kept), "body too long")
        return _answer(uids, 0, self.warning)


def records_of(export: ExportLogsServiceRequest) -> list[LogRecord]:
    return [
        record for resource in export.resource_logs for scope in resource.scope_logs for record in scope.log_records
    ]


def uid_of(record: LogRecord) -> str:
    (uid,) = [one.value.string_value for one in record.attributes if one.key == "log.record.uid"]
    return uid


def plain(value: AnyValue) -> object:
    return getattr(value, value.WhichOneof("value") or "string_value")


def _answer(uids: list[str], rejected: int, message: str) -> VendorResponse:
    answer = ExportLogsServiceResponse()
    if rejected or message:
        answer.partial_success.rejected_log_records = rejected
        answer.partial_success.error_message = message
    return VendorResponse(uids, 200, {"Content-Type": PROTOBUF}, answer.SerializeToString())


def _status(status: int, message: str) -> VendorResponse:
    # google.rpc.Status has code = 1 and message = 2, of the same types as this message's members.
    body = ExportLogsPartialSuccess(rejected_log_records=3, error_message=message).SerializeToString()
    return VendorResponse([], status, {"Content-Type": PROTOBUF}, body)


vendor = Otlp
