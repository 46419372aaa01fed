"""None"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from msgspec import structs
from pydantic import SecretStr
from receivers.request import uuid_of
from receivers.server import receiving
from receivers.splunk import TOKEN, SplunkHec
from support import siems as support
from support.siem_conformance import Arrived, HttpConformance

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import RejectedRecord, RequestRejectedError
from blocks.siem.splunk.block import SplunkSiem
from blocks.siem.splunk.sender import ACK_SECONDS, SplunkSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.request import Request
    from receivers.server import Receiver

FACTS = "onepassword_"


def siem(url: str, **members: Any) -> SplunkSiem:
    return SplunkSiem(url=url, token=SecretStr(TOKEN), **members)


def events_of(request: Request) -> list[dict[str, Any]]:
    return [json.loads(line) for line in request.body.splitlines()]


class TestSplunk(HttpConformance):
    module = "blocks.siem.splunk.sender"
    secrets = (TOKEN,)
    vendor = SplunkHec

    def block_at(self, url: str) -> SplunkSiem:
        return siem(url)

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        for line in request.body.splitlines():
            fields = json.loads(line)["fields"]
            facts = {name.removeprefix(FACTS): value for name, value in fields.items() if name.startswith(FACTS)}
            metadata = {name: value for name, value in fields.items() if not name.startswith(FACTS)}
            document = line[line.index(b',"event":') + len(b',"event":') : -1]
            yield Arrived(document, uuid_of(document), facts, metadata)

    def faulty(self) -> tuple[SplunkSiem, set[str]]:
        block = SplunkSiem(
            url="http://splunk.example.com:8088",
            token=SecretStr(f"Splunk {TOKEN}"),
            index="_internal",
            indexes={"audits": "main", "audit": "A"},
        )
        return block, {"block.url", "block.token", "block.index", "block.indexes", "block.indexes.audit"}


class Hec:
    """A collector, and a sender whose clock moves by its own sleeps."""

    def __init__(self, receiver: Receiver, vendor: SplunkHec) -> None:
        self.receiver, self.vendor = receiver, vendor
        self.slept: list[float] = []

    def sender(self, **members: Any) -> SplunkSender:
        return SplunkSender(self.receiver.url, TOKEN, sleep=self.slept.append, now=lambda: sum(self.slept), **members)


@pytest.fixture
def vendor() -> SplunkHec:
    return SplunkHec()


@pytest.fixture
def hec(vendor: SplunkHec) -> Iterator[Hec]:
    with receiving(vendor) as running:
        yield Hec(running, vendor)


@pytest.fixture
def sender(hec: Hec) -> Iterator[SplunkSender]:
    opened = hec.sender()
    yield opened
    opened.close()


def test_an_event_as_it_arrives(hec: Hec, sender: SplunkSender) -> None:
    one = structs.replace(support.event(Api.SIGN_IN, category="success"), time_ns=support.START_NS + 89_000_001)
    sender.send(support.batch(sender, [one]))
    (request,) = hec.receiver.requests
    assert request.body.startswith(b'{"time":1772600767.089000001,"source":"1Pass","sourcetype":"1password:insights:')
    assert events_of(request) == [
        {
            "time": pytest.approx(1772600767.089000001),
            "source": "1Pass",
            "sourcetype": "1password:insights:signin_attempts",
            "fields": {
                "_siemForward": "true",
                "_siemVendor": "1Password",
                "_siemProduct": "1Password",
                "_siemFormat": "JSON",
                "_siemEventID": "signin-success",
                "_source": "1Pass",
                "_sourceCategory": "sec/1password",
                "team": "blue",
                "tier": "2",
                "onepassword_api": "sign-in",
                "onepassword_event_id": "signin-success",
                "onepassword_account": support.ACCOUNT,
                "onepassword_uuid": one.uuid,
                "onepassword_time": "2026-03-04T05:06:07.089000001Z",
                "onepassword_received": "2026-03-04T05:10:07.123456789Z",
            },
            "event": json.loads(one.body),
        }
    ]


def test_the_headers_of_a_request(hec: Hec, sender: SplunkSender) -> None:
    for _ in range(2):
        sender.send(support.batch(sender, [support.event()]))
    headers = [request.headers for request in hec.receiver.requests]
    assert {one["authorization"] for one in headers} == {f"Splunk {TOKEN}"}
    assert {one["content-encoding"] for one in headers} == {"gzip"}
    (channel,) = {one["x-splunk-request-channel"] for one in headers}
    assert UUID(channel).version == 4


def test_each_sender_has_a_channel_of_its_own(hec: Hec) -> None:
    senders = [hec.sender() for _ in range(2)]
    for one in senders:
        one.send(support.batch(one, [support.event()]))
        one.close()
    assert len({request.headers["x-splunk-request-channel"] for request in hec.receiver.requests}) == 2


@pytest.mark.parametrize(
    ("api", "format_name", "sourcetype"),
    [
        (Api.SIGN_IN, "raw", "1password:insights:signin_attempts"),
        (Api.ITEM_USAGE, "raw", "1password:insights:item_usages"),
        (Api.AUDIT, "raw", "1password:insights:audit_events"),
        (Api.AUDIT, "ecs", "1password:ecs:audit_events"),
        (Api.SIGN_IN, "ocsf", "1password:ocsf:signin_attempts"),
    ],
)
def test_the_source_types_are_those_of_the_add_on(
    hec: Hec, sender: SplunkSender, api: Api, format_name: str, sourcetype: str
) -> None:
    sender.send(support.batch(sender, support.events(api, 1), support.stream(api), format_name))
    assert [one["sourcetype"] for one in events_of(hec.receiver.requests[0])] == [sourcetype]


def test_each_api_may_have_an_index_of_its_own(hec: Hec) -> None:
    sender = hec.sender(index="onepassword", indexes={"audit": "strict"}, host="h", source="s")
    for api in (Api.SIGN_IN, Api.AUDIT):
        sender.send(support.batch(sender, support.events(api, 1), support.stream(api)))
    sender.close()
    arrived = [events_of(request)[0] for request in hec.receiver.requests]
    assert [(one["index"], one["host"], one["source"]) for one in arrived] == [
        ("onepassword", "h", "s"),
        ("strict", "h", "s"),
    ]


def test_a_field_that_splunk_sets_itself_has_another_name(hec: Hec, sender: SplunkSender) -> None:
    of = support.stream(fields={"host": "a", "_time": 1, "onepassword_uuid": "b", "ok": 1.5})
    sender.send(support.batch(sender, [support.event()], of))
    fields = events_of(hec.receiver.requests[0])[0]["fields"]
    assert (fields["field_host"], fields["field_onepassword_uuid"], fields["ok"]) == ("a", "b", "1.5")
    assert fields["onepassword_uuid"] == "A" * 26
    assert not {"host", "_time"} & set(fields)


def test_a_batch_is_sent_once_it_is_indexed(hec: Hec, sender: SplunkSender) -> None:
    hec.vendor.acknowledge = 3
    for _ in range(2):
        sender.send(support.batch(sender, [support.event()]))
    polls = [json.loads(one.body) for one in hec.receiver.requests if one.path.endswith("/ack")]
    assert polls == [{"acks": [0]}] * 3 + [{"acks": [1]}] * 3
    assert hec.slept == [0.25, 0.5] * 2


def test_what_is_not_acknowledged_in_time_is_sent_again(hec: Hec, sender: SplunkSender) -> None:
    hec.vendor.acknowledge = 10**6
    with pytest.raises(ThirdPartyGenericError, match="indexed") as raised:
        sender.send(support.batch(sender, [support.event()]))
    assert raised.value.code == "ack"
    assert ACK_SECONDS - 5 <= sum(hec.slept) <= ACK_SECONDS
    assert max(hec.slept) == 5


def test_a_token_without_acknowledgement_waits_for_none(hec: Hec, sender: SplunkSender) -> None:
    sender.send(support.batch(sender, [support.event()]))
    assert (hec.slept, hec.receiver.request_count) == ([], 1)


def test_an_acknowledgement_that_is_lost_on_its_way_means_again(hec: Hec, sender: SplunkSender) -> None:
    hec.vendor.acknowledge = 1
    hec.receiver.behave("drop", path="/ack")
    with pytest.raises(ThirdPartyGenericError):
        sender.send(support.batch(sender, [support.event()]))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_rejected_poll_does_not_send_the_events_again(hec: Hec, sender: SplunkSender, status: int) -> None:
    """Splunk has them: it is nothing that halving could find."""
    hec.vendor.acknowledge = 1
    hec.receiver.behave("answer", None, status=status, path="/ack")
    with pytest.raises(ThirdPartyConfigError) as raised:
        sender.send(support.batch(sender, support.events(Api.SIGN_IN, 4)))
    assert type(raised.value) is ThirdPartyConfigError
    assert max(hec.receiver.arrived().values()) == 1


def test_a_rejected_poll_has_its_reason(hec: Hec, sender: SplunkSender) -> None:
    hec.vendor.acknowledge = 1
    hec.receiver.behave("answer", status=400, path="/ack", body='{"text":"ACK is disabled","code":14}')
    with pytest.raises(ThirdPartyConfigError, match="acknowledgement is disabled"):
        sender.send(support.batch(sender, [support.event()]))


def test_the_invalid_event_is_rejected_and_all_others_arrive(hec: Hec, sender: SplunkSender) -> None:
    sent = support.events(Api.SIGN_IN, 10)
    hec.vendor.bad = {sent[at].uuid for at in (0, 4, 9)}
    answer = sender.send(support.batch(sender, sent))
    assert answer.rejected == tuple(RejectedRecord(at, "6", "Invalid data format") for at in (0, 4, 9))
    assert answer.deferred == ()
    counts = hec.receiver.arrived()
    assert set(counts) == {one.uuid for one in sent} - hec.vendor.bad
    assert max(counts.values()) <= 2


def test_an_event_found_by_bisection_is_rejected_with_splunks_words(hec: Hec, sender: SplunkSender) -> None:
    """Splunk does not always name the event: then it is looked for, and its answer is kept."""
    hec.receiver.behave("answer", status=400, body='{"text":"Invalid data format","code":6}')
    with pytest.raises(RequestRejectedError, match=r"400: Invalid data format, code 6"):
        sender.send(support.batch(sender, [support.event()]))


def test_half_of_a_batch_may_be_bad(hec: Hec, sender: SplunkSender) -> None:
    hec.receiver.behave("half", None)
    sent = support.events(Api.AUDIT, 20)
    answer = sender.send(support.batch(sender, sent, support.stream(Api.AUDIT)))
    assert set(hec.receiver.arrived()) == {
        one.uuid for at, one in enumerate(sent) if at not in {one.index for one in answer.rejected}
    }


@pytest.mark.parametrize("code", [6, 12, 13, 15])
def test_codes_that_name_an_event(hec: Hec, sender: SplunkSender, code: int) -> None:
    body = json.dumps({"text": "x", "code": code, "invalid-event-number": 1})
    hec.receiver.behave("answer", status=400, body=body)
    answer = sender.send(support.batch(sender, support.events(Api.SIGN_IN, 3)))
    assert [(one.index, one.code) for one in answer.rejected] == [(1, str(code))]
    assert hec.receiver.arrived().total() == 2


@pytest.mark.parametrize("number", [None, -1, 3, "1"])
def test_an_answer_that_names_no_event_of_the_batch_is_for_a_person(
    hec: Hec, sender: SplunkSender, number: object
) -> None:
    body = json.dumps({"text": "x", "code": 6, **({} if number is None else {"invalid-event-number": number})})
    hec.receiver.behave("answer", None, status=400, body=body)
    with pytest.raises(ThirdPartyConfigError):
        sender.send(support.batch(sender, support.events(Api.SIGN_IN, 3)))


@pytest.mark.parametrize(
    ("code", "says"), [(7, "index"), (10, "channel"), (11, "channel"), (14, "acknowledgement"), (22, "disabled")]
)
def test_codes_of_the_configuration_stop_forwarding(hec: Hec, sender: SplunkSender, code: int, says: str) -> None:
    body = json.dumps({"text": "x", "code": code, "invalid-event-number": 0})
    hec.receiver.behave("answer", None, status=400, body=body)
    with pytest.raises(ThirdPartyConfigError, match=says) as raised:
        sender.send(support.batch(sender, [support.event()]))
    assert raised.value.hint


def test_an_index_that_the_token_may_not_write_to(hec: Hec) -> None:
    hec.vendor.indexes = frozenset({"main"})
    sender = hec.sender(index="secret")
    with pytest.raises(ThirdPartyConfigError, match="may not write to this index"):
        sender.send(support.batch(sender, [support.event()]))
    sender.close()


def test_a_busy_splunk_gets_the_whole_batch_again(hec: Hec, sender: SplunkSender) -> None:
    hec.receiver.behave("answer", status=503, body='{"text":"Server is busy","code":9,"invalid-event-number":1}')
    one = support.batch(sender, support.events(Api.SIGN_IN, 3))
    with pytest.raises(ThirdPartyGenericError):
        sender.send(one)
    sender.send(one)
    assert hec.receiver.arrived().total() == 3


@pytest.mark.parametrize("body", ['{"text":"Near the limit","code":24}', '{"text":"Near the limit","code":25}'])
def test_a_success_near_a_limit_acknowledges_the_batch(hec: Hec, sender: SplunkSender, body: str) -> None:
    hec.receiver.behave("answer", status=200, body=body)
    assert sender.send(support.batch(sender, [support.event()])).rejected == ()


@pytest.mark.parametrize("body", ["", "OK", "{}", '{"text":"Server is busy","code":9}', '{"ok":true}'])
def test_a_success_that_is_not_splunks_acknowledges_nothing(hec: Hec, sender: SplunkSender, body: str) -> None:
    hec.receiver.behave("answer", None, status=200, body=body)
    for ask in (lambda: sender.send(support.batch(sender, [support.event()])), sender.check):
        with pytest.raises(ThirdPartyGenericError) as raised:
            ask()
        assert raised.value.code == "invalid-body"


def test_a_check_reports_a_wrong_token(hec: Hec) -> None:
    sender = SplunkSender(hec.receiver.url, "00000000-0000-0000-0000-000000000000")
    with pytest.raises(ThirdPartyConfigError) as raised:
        sender.check()
    sender.close()
    assert raised.value.code == "403"


def test_a_check_reports_that_splunk_is_unhealthy(hec: Hec, sender: SplunkSender) -> None:
    hec.receiver.behave("answer", status=503, path="/health", body='{"text":"HEC is unhealthy","code":18}')
    with pytest.raises(ThirdPartyGenericError):
        sender.check()


def test_a_path_before_the_collector_stays(hec: Hec) -> None:
    hec.receiver.behave("answer", status=200, body='{"text":"Success","code":0}', path="/hec/services/collector/event")
    sender = SplunkSender(f"{hec.receiver.url}/hec", TOKEN)
    sender.send(support.batch(sender, [support.event()]))
    sender.close()
