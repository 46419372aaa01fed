"""None"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from pydantic import SecretStr
from receivers.request import uuid_of
from receivers.server import receiving
from receivers.sumo_logic import CODE, PATH, SumoLogic
from support import siems as support
from support.siem_conformance import Arrived, HttpConformance

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.sumo_logic.block import SumoLogicSiem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.request import Request
    from receivers.server import Receiver

    from blocks.siem.sumo_logic.sender import SumoLogicSender

FACTS = "onepassword_"


def siem(url: str, **members: object) -> SumoLogicSiem:
    return SumoLogicSiem(url=SecretStr(url + PATH), **members)


def fields_of(request: Request) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in request.headers["x-sumo-fields"].split(","))


class TestSumoLogic(HttpConformance):
    module = "blocks.siem.sumo_logic.sender"
    secrets = (CODE,)
    vendor = SumoLogic

    def block_at(self, url: str) -> SumoLogicSiem:
        return siem(url)

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        if not request.body:
            return
        fields = fields_of(request)
        facts = {name.removeprefix(FACTS): value for name, value in fields.items() if name.startswith(FACTS)}
        metadata = {name: value for name, value in fields.items() if not name.startswith(FACTS)}
        metadata["_source"] = request.headers["x-sumo-name"]
        metadata["_sourceCategory"] = request.headers["x-sumo-category"]
        for line in request.body.splitlines():
            yield Arrived(line, uuid_of(line), facts, metadata)

    def faulty(self) -> tuple[SumoLogicSiem, set[str]]:
        block = SumoLogicSiem(url=SecretStr(f"http://sumo.example.com/{CODE}"), source_name="é", source_host="a\nb")
        return block, {"block.url", "block.source_name", "block.source_host"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(SumoLogic()) as running:
        yield running


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[SumoLogicSender]:
    opened = siem(receiver.url).get_sender()
    yield opened
    opened.close()


def test_a_request_is_lines_packed_with_gzip(receiver: Receiver, sender: SumoLogicSender) -> None:
    sent = support.events(Api.AUDIT, 3)
    support.send_all(sender, support.of_events(sent, support.stream(Api.AUDIT, classifier="parser")))
    (request,) = receiver.requests
    assert request.body == b"".join(one.body.encode() + b"\n" for one in sent)
    assert request.headers["content-encoding"] == "gzip"
    assert (request.method, request.path) == ("POST", PATH)


def test_the_headers_of_a_request(receiver: Receiver, sender: SumoLogicSender) -> None:
    one = support.event(Api.SIGN_IN, category="mfa_failed")
    support.send_all(sender, support.of_events([one], support.stream(classifier="event-id")))
    headers = receiver.requests[0].headers
    assert headers["x-sumo-name"] == "1Pass"
    assert headers["x-sumo-category"] == "sec/1password"
    assert "x-sumo-host" not in headers
    assert headers["x-sumo-fields"] == (
        "_siemForward=true,_siemVendor=1Password,_siemProduct=1Password,_siemFormat=JSON,"
        "_siemEventID=signin-mfa_failed,team=blue,tier=2,onepassword_api=sign-in,"
        f"onepassword_account={support.ACCOUNT},onepassword_received=2026-03-04T05:10:07.123456789Z"
    )


def test_name_host_and_category_of_the_block_come_first(receiver: Receiver) -> None:
    block = siem(receiver.url, source_name="n", source_host="h", source_category="c")
    sender = block.get_sender()
    support.send_all(sender, support.formatted(Api.AUDIT, 1))
    sender.close()
    headers = receiver.requests[0].headers
    assert [headers[f"x-sumo-{name}"] for name in ("name", "host", "category")] == ["n", "h", "c"]


def test_what_cannot_stand_in_a_header_becomes_an_underscore(receiver: Receiver, sender: SumoLogicSender) -> None:
    of = support.stream(source="日本 1\r\nX-Evil: 1", category=None, fields={"a=,b": "x,y=z\né", "n": 1.5})
    support.send_all(sender, support.of_events([support.event()], of))
    headers = receiver.requests[0].headers
    assert headers["x-sumo-name"] == "__ 1__X-Evil: 1"
    assert "x-evil" not in headers
    assert "x-sumo-category" not in headers
    fields = fields_of(receiver.requests[0])
    assert (fields["a__b"], fields["n"]) == ("x_y=z__", "1.5")


def test_with_the_parser_a_page_is_one_group_and_with_event_ids_many(sender: SumoLogicSender) -> None:
    groups = {
        classifier: {sender.encode(one).group for one in support.formatted(Api.AUDIT, 100, classifier=classifier)}
        for classifier in ("parser", "event-id")
    }
    assert len(groups["parser"]) == 1
    assert len(groups["event-id"]) > 10


def test_events_of_two_pages_or_two_accounts_are_two_groups(sender: SumoLogicSender) -> None:
    one = support.event(category="success")
    late = structs.replace(one, received_ns=one.received_ns + 1)
    guest = support.event(category="success", account_uuid="GUEST")
    groups = [sender.encode(formatted).group for formatted in support.of_events([one, late, guest], support.stream())]
    assert len(set(groups)) == 3


def test_a_request_holds_a_megabyte_at_most(receiver: Receiver, sender: SumoLogicSender) -> None:
    of = support.stream()
    many = [structs.replace(support.event(category="success", note="x" * 9000), id=number) for number in range(250)]
    support.send_all(sender, support.of_events(many, of))
    sizes = [len(request.body) for request in receiver.requests]
    assert len(sizes) == 3
    assert max(sizes) <= 1_000_000
    assert sorted(sizes)[1] > 900_000


def test_a_request_with_408_is_sent_again(receiver: Receiver, sender: SumoLogicSender) -> None:
    receiver.behave("answer", status=408)
    one = support.batch(sender, [support.event(category="success")])
    with pytest.raises(ThirdPartyGenericError) as raised:
        sender.send(one)
    assert raised.value.code == "408"
    sender.send(one)
    assert receiver.arrived().total() == 1


@pytest.mark.parametrize("status", [201, 202, 204])
def test_only_200_acknowledges_a_batch(receiver: Receiver, sender: SumoLogicSender, status: int) -> None:
    receiver.behave("answer", None, status=status)
    with pytest.raises(ThirdPartyGenericError) as raised:
        sender.send(support.batch(sender, [support.event()]))
    assert raised.value.code == "invalid-body"


def test_another_code_is_a_wrong_address(receiver: Receiver) -> None:
    sender = SumoLogicSiem(url=SecretStr(f"{receiver.url}/receiver/v1/http/other-code")).get_sender()
    with pytest.raises(Exception, match="401") as raised:
        sender.check()
    sender.close()
    assert "other-code" not in str(raised.value)
