"""OpenTelemetry logs: what a record holds, partial success, and which answers are requested again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, SEVERITY_NUMBER_WARN, LogRecord, ScopeLogs
from pydantic import SecretStr
from receivers.otlp import Otlp as Collector
from receivers.otlp import records_of, uid_of
from receivers.server import Receiver
from support import siems as support
from support.otlp_logs import members, send
from support.siem_conformance import Arrived, HttpConformance

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import BatchResult
from blocks.siem.formats.field_values import rfc3339
from blocks.siem.otlp.block import Otlp
from blocks.siem.otlp.sender import OtlpSender, parse_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from receivers.request import Request


KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "s3cret-t0ken-of-the-c0llector"
BESIDE = {"service.name", "log.record.uid", "onepassword.api", "onepassword.account"}


class TestOtlp(HttpConformance):
    module = "blocks.siem.otlp.sender"
    secrets = (KEY, TOKEN)
    vendor = Collector

    def block_at(self, url: str) -> Otlp:
        return Otlp(url=url, headers=SecretStr(f"DD-API-KEY={KEY}, Authorization=Bearer%20{TOKEN}"))

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        export = ExportLogsServiceRequest.FromString(request.body)
        for resource in export.resource_logs:
            of_all = members(resource.resource.attributes)
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    yield arrived(record, {**of_all, **members(record.attributes)})

    def faulty(self) -> tuple[Otlp, set[str]]:
        block = Otlp(url="ftp://x", headers=SecretStr(f"{KEY}"), service_name=" ")
        return block, {"block.url", "block.headers", "block.service_name"}


def arrived(record: LogRecord, known: Mapping[str, Any]) -> Arrived:
    facts = {
        "uuid": uid_of(record),
        "api": known["onepassword.api"],
        "time": rfc3339(record.time_unix_nano),
        "received": rfc3339(record.observed_time_unix_nano),
    }
    if "onepassword.account" in known:
        facts["account"] = known["onepassword.account"]
    metadata = {name: value for name, value in known.items() if name not in BESIDE}
    document = record.body.string_value.encode()
    tags = json.loads(document).get("metadata", {}).get("tags", [])
    return Arrived(document, uid_of(record), facts, {**{tag["name"]: tag["value"] for tag in tags}, **metadata})


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[OtlpSender]:
    opened = OtlpSender(receiver.url, {"Authorization": f"Bearer {TOKEN}"})
    yield opened
    opened.close()


def only(collector: Collector) -> LogRecord:
    (record,) = records_of(collector.exports[0])
    return record


def test_a_record_holds_the_event_as_the_conventions_have_it(collector: Collector, sender: OtlpSender) -> None:
    one = support.event(category="success")
    send(sender, one)
    (of_resource,) = collector.exports[0].resource_logs
    (of_scope,) = of_resource.scope_logs
    record = only(collector)
    assert members(of_resource.resource.attributes) == {
        "service.name": "1password",
        "_siemForward": True,
        "_siemVendor": "1Password",
        "_siemProduct": "1Password",
        "_siemFormat": "JSON",
        "_source": "1Pass",
        "_sourceCategory": "sec/1password",
        "team": "blue",
        "tier": 2,
    }
    assert of_scope.scope.name == "onepassword-source"
    assert of_scope.scope.version
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (one.time_ns, one.received_ns)
    assert record.body.string_value == one.body
    assert record.event_name == "onepassword.sign_in_attempt"
    assert members(record.attributes) == {
        "onepassword.api": "sign-in",
        "_siemEventID": "signin-success",
        "log.record.uid": one.uuid,
        "onepassword.account": support.ACCOUNT,
    }


@pytest.mark.parametrize(
    ("api", "body", "severity"),
    [
        (Api.SIGN_IN, {"category": "success"}, (SEVERITY_NUMBER_INFO, "INFO")),
        (Api.SIGN_IN, {"category": "firewall_reported_success"}, (SEVERITY_NUMBER_INFO, "INFO")),
        (Api.SIGN_IN, {"category": "mfa_failed"}, (SEVERITY_NUMBER_WARN, "WARN")),
        (Api.AUDIT, {"action": "it_failed"}, (SEVERITY_NUMBER_INFO, "INFO")),
    ],
)
def test_a_failed_sign_in_is_a_warning(
    collector: Collector, sender: OtlpSender, api: Api, body: dict[str, str], severity: tuple[int, str]
) -> None:
    send(sender, support.event(api, **body), api=api)
    assert (only(collector).severity_number, only(collector).severity_text) == severity


def test_values_that_no_attribute_holds_become_texts(collector: Collector, sender: OtlpSender) -> None:
    fields = {"huge": 2**63, "small": -(2**63), "share": 0.5, "off": False}
    send(sender, support.event(category="success"), fields=fields)
    found = members(collector.exports[0].resource_logs[0].resource.attributes)
    assert {name: found[name] for name in fields} == {**fields, "huge": str(2**63)}
    assert found["off"] is False


def test_a_time_before_1970_is_unknown(collector: Collector, sender: OtlpSender) -> None:
    send(sender, structs.replace(support.event(category="success"), time_ns=-1))
    assert only(collector).time_unix_nano == 0


@pytest.mark.parametrize("about", [1 << 7, 1 << 14, 1 << 21])
def test_lengths_are_as_protobuf_writes_them(collector: Collector, sender: OtlpSender, about: int) -> None:
    """Around each length that takes one more byte: of the document, and of all that it stands in."""
    for size in range(about - 100, about + 4):
        body = f'{{"action":"{"x" * (size - 13)}"}}'
        assert len(body) == size
        one = structs.replace(support.event(Api.AUDIT), body=body, uuid="U" * (size % 200 + 1))
        (record,) = ScopeLogs.FromString(
            sender.encode(support.of_events([one], support.stream(Api.AUDIT))[0]).data
        ).log_records
        assert record.body.string_value == body
        assert members(record.attributes)["log.record.uid"] == one.uuid
        assert record == LogRecord.FromString(record.SerializeToString())
    send(sender, one)
    assert only(collector).body.string_value == body


def test_a_request_is_packed_protobuf_with_the_headers(receiver: Receiver, sender: OtlpSender) -> None:
    send(sender)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/v1/logs")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-type"] == "application/x-protobuf"


def test_a_receiver_without_gzip_gets_uncompressed_requests(receiver: Receiver) -> None:
    sender = Otlp(url=receiver.url, compress=False).get_sender()
    support.send_all(sender, support.formatted(Api.AUDIT, 3))
    sender.check()
    sender.close()
    assert [("content-encoding" in one.headers, one.headers["content-type"]) for one in receiver.requests] == [
        (False, "application/x-protobuf")
    ] * 2
    assert receiver.arrived().total() == 3


@pytest.mark.parametrize("end", ["", "/", "/v1/logs", "/v1/logs/"])
def test_the_path_of_logs_is_added_once(receiver: Receiver, end: str) -> None:
    sender = OtlpSender(receiver.url + end, {})
    assert send(sender) == BatchResult()
    sender.close()


def test_a_base_with_a_path_keeps_it(receiver: Receiver) -> None:
    sender = OtlpSender(f"{receiver.url}/otlp", {})
    with pytest.raises(ThirdPartyConfigError):
        send(sender)
    sender.close()
    assert receiver.requests[0].path == "/otlp/v1/logs"


def test_a_partial_success_rejects_all_records_and_sends_none_again(receiver: Receiver, sender: OtlpSender) -> None:
    receiver.behave("half")
    answer = send(sender)
    assert [one.index for one in answer.rejected] == list(range(10))
    assert {one.code for one in answer.rejected} == {"partial-success"}
    reason = "The receiver rejected 5 of 10 records, and it does not say which: body too long"
    assert {one.answer for one in answer.rejected} == {reason}
    assert (answer.deferred, receiver.request_count) == ((), 1)


@pytest.mark.parametrize("rejected", ['"2"', "7"])
def test_a_partial_success_in_json_is_understood(receiver: Receiver, sender: OtlpSender, rejected: str) -> None:
    body = f'{{"partialSuccess":{{"rejectedLogRecords":{rejected}}}}}'
    receiver.behave("answer", body=body, headers={"Content-Type": "application/json; charset=utf-8"})
    answer = send(sender, *support.events(Api.SIGN_IN)[:2])
    assert [one.answer for one in answer.rejected] == ["The receiver rejected 2 of 2 records, all of them."] * 2


def test_a_warning_without_rejected_records_is_a_success(collector: Collector, sender: OtlpSender) -> None:
    collector.warning = "attributes are many"
    assert send(sender) == BatchResult()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(200, "", ""), (204, "", ""), (202, "{}", "application/json"), (200, "", "application/json")],
)
def test_an_empty_answer_is_a_success(
    receiver: Receiver, sender: OtlpSender, status: int, body: str, kind: str
) -> None:
    receiver.behave("answer", status=status, body=body, headers={"Content-Type": kind} if kind else {})
    assert send(sender) == BatchResult()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<html>Please sign in</html>", "text/html"),
        ("", "text/html"),
        ("OK", "text/plain"),
        ("[]", "application/json"),
        ("{", "application/json"),
        ('{"partialSuccess":{"rejectedLogRecords":"many"}}', "application/json"),
    ],
)
def test_an_answer_of_success_that_is_none_of_otlp_is_none(
    receiver: Receiver, sender: OtlpSender, body: str, kind: str
) -> None:
    receiver.behave("answer", body=body, headers={"Content-Type": kind})
    with pytest.raises(ThirdPartyGenericError) as raised:
        send(sender)
    assert raised.value.code == "invalid-body"


def test_what_a_receiver_says_of_a_bad_request_is_read_from_its_status(
    receiver: Receiver, collector: Collector, sender: OtlpSender
) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"\(400: what was sent cannot be parsed as logs\)") as raised:
        sender._client.post("v1/logs", b"\xff\xff", {"Content-Type": "application/x-protobuf"})
    assert raised.value.code == "400"


def test_a_check_is_a_request_without_records(receiver: Receiver, collector: Collector, sender: OtlpSender) -> None:
    assert sender.check().startswith("The OTLP receiver accepts logs. No event was sent:")
    assert [records_of(export) for export in collector.exports] == [[]]


def test_headers_are_written_as_opentelemetry_has_them() -> None:
    assert parse_headers(" api-key = a%2Cb , Authorization=Bearer%20x=y,") == {
        "api-key": "a,b",
        "Authorization": "Bearer x=y",
    }
    assert parse_headers("") == {}
