"""Microsoft Sentinel, against Entra and the Logs Ingestion API as Microsoft documents them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
from msgspec import structs
from pydantic import SecretStr
from receivers import sentinel as vendor
from receivers.request import uuid_of
from receivers.sentinel import CLIENT, INGEST, JWT, RULE, SECRET, STREAM, TENANT, TOKEN
from support import siems as support
from support.paths import ROOT
from support.siem_conformance import Arrived, HttpConformance, assert_secret

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.sentinel import sender as sentinel_sender
from blocks.siem.sentinel.block import Sentinel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.request import Request
    from receivers.server import Receiver
    from support.moving_clock import MovingClock

    from blocks.siem.sentinel.sender import SentinelSender

DOCUMENTATION = ROOT / "docs" / "siem" / "sentinel.md"


def siem(url: str, **members: object) -> Sentinel:
    given = {
        "endpoint": url,
        "rule_id": RULE,
        "stream": STREAM,
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "client_secret": SecretStr(SECRET),
        "authority": url,
    }
    return Sentinel(**{**given, **members})


class TestSentinel(HttpConformance):
    module = "blocks.siem.sentinel.sender"
    secrets = (SECRET, JWT)
    vendor = vendor.Sentinel
    paths = ("/oauth2/", "/dataCollectionRules/")

    def block_at(self, url: str) -> Sentinel:
        return siem(url)

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        if request.path != INGEST:
            return
        for row in vendor.rows(request.body):
            document = bytes(row.Event)
            facts = {"uuid": row.Uuid, "api": row.Api, "time": row.EventTime, "received": row.ReceivedTime}
            account = {} if row.Account is None else {"account": row.Account}
            yield Arrived(document, uuid_of(document), facts | account, row.Metadata)

    def faulty(self) -> tuple[Sentinel, set[str]]:
        members = ("endpoint", "authority", "rule_id", "stream", "tenant_id", "client_id", "scope", "client_secret")
        wrong = {**dict.fromkeys(members, "http://x y"), "client_secret": SecretStr(CLIENT)}
        return Sentinel(**wrong), {f"block.{name}" for name in members}

    @pytest.fixture
    def sender(self, block: Sentinel) -> Iterator[SentinelSender]:
        opened = block.get_sender()
        opened._tokens.get()  # so that behaviour which a test sets applies to requests with events
        yield opened
        opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    from receivers.server import receiving

    with receiving(vendor.Sentinel()) as running:
        yield running


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[SentinelSender]:
    opened = siem(receiver.url).get_sender()
    yield opened
    opened.close()


def azure(receiver: Receiver) -> vendor.Sentinel:
    assert isinstance(receiver.vendor, vendor.Sentinel)
    return receiver.vendor


def send(sender: SentinelSender) -> None:
    assert sender.send(support.batch(sender, [support.event(category="success")])).rejected == ()


class TestTokens:
    def test_one_serves_until_shortly_before_it_ends(
        self, receiver: Receiver, sender: SentinelSender, moving: MovingClock
    ) -> None:
        for seconds, issued in ((0, 1), (3298, 1), (2, 2), (3298, 2), (2, 3)):
            moving.advance(seconds)
            send(sender)
            assert azure(receiver).issued == issued

    def test_a_short_one_is_used_for_half_its_life(
        self, receiver: Receiver, sender: SentinelSender, moving: MovingClock
    ) -> None:
        azure(receiver).lifetime = 60
        for seconds, issued in ((0, 1), (29, 1), (2, 2)):
            moving.advance(seconds)
            send(sender)
            assert azure(receiver).issued == issued

    def test_a_rejected_token_is_renewed_once(self, receiver: Receiver, sender: SentinelSender) -> None:
        send(sender)
        azure(receiver).revoke()
        send(sender)
        assert (azure(receiver).issued, receiver.arrived().total()) == (2, 2)
        receiver.behave("answer", None, status=401, path=INGEST)
        with pytest.raises(ThirdPartyConfigError):
            send(sender)
        assert azure(receiver).issued == 3

    def test_a_wrong_secret_is_reported_with_its_aadsts_number(self, receiver: Receiver) -> None:
        wrong = "another-secret-of-this-application"
        sender = siem(receiver.url, client_secret=SecretStr(wrong)).get_sender()
        with pytest.raises(ThirdPartyConfigError, match=r"401: invalid_client AADSTS7000215") as raised:
            send(sender)
        sender.close()
        assert_secret((wrong,), str(raised.value))

    def test_a_wrong_tenant(self, receiver: Receiver) -> None:
        sender = siem(receiver.url, tenant_id="example.org").get_sender()
        with pytest.raises(ThirdPartyConfigError, match=r"invalid_request AADSTS900144.*tenant_id"):
            sender.check()
        sender.close()

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_no_event_is_to_blame_where_there_is_no_token(
        self, receiver: Receiver, sender: SentinelSender, status: int
    ) -> None:
        receiver.behave("answer", None, status=status, path=TOKEN)
        with pytest.raises(ThirdPartyConfigError) as raised:
            send(sender)
        assert type(raised.value) is ThirdPartyConfigError

    @pytest.mark.parametrize("body", ["", "[]", '{"expires_in":1}', '{"access_token":"a\\nb","expires_in":9}'])
    def test_an_answer_without_a_token(self, receiver: Receiver, sender: SentinelSender, body: str) -> None:
        receiver.behave("answer", None, body=body, path=TOKEN)
        with pytest.raises(ThirdPartyGenericError) as raised:
            send(sender)
        assert raised.value.code == "invalid-body"


class TestIngestion:
    def test_a_role_that_is_not_there_yet(self, receiver: Receiver, sender: SentinelSender) -> None:
        azure(receiver).role = False
        for ask in (lambda: send(sender), sender.check):
            with pytest.raises(ThirdPartyConfigError, match="30 minutes") as raised:
                ask()
            assert raised.value.code == "403"

    def test_an_empty_array_may_be_a_bad_request(self, receiver: Receiver, sender: SentinelSender) -> None:
        receiver.behave("answer", None, status=400, path=INGEST)
        assert f" {STREAM}. No event was sent" in sender.check()

    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_only_204_acknowledges_a_batch(self, receiver: Receiver, sender: SentinelSender, status: int) -> None:
        receiver.behave("answer", None, status=status, path=INGEST)
        with pytest.raises(ThirdPartyGenericError) as raised:
            send(sender)
        assert raised.value.code == "invalid-body"
        assert f" {STREAM}. No event was sent" in sender.check()

    def test_a_web_page_does_not_acknowledge_an_empty_array(self, receiver: Receiver, sender: SentinelSender) -> None:
        receiver.behave("answer", None, body="<html>Sign in</html>", path=INGEST)
        with pytest.raises(ThirdPartyGenericError) as raised:
            sender.check()
        assert raised.value.code == "invalid-body"

    def test_a_rule_that_is_not_there(self, receiver: Receiver) -> None:
        sender = siem(receiver.url, stream="Custom-Else").get_sender()
        with pytest.raises(ThirdPartyConfigError) as raised:
            sender.check()
        sender.close()
        assert raised.value.code == "404"

    def test_requests_stay_below_a_megabyte(self, receiver: Receiver, sender: SentinelSender) -> None:
        sent = support.formatted(Api.AUDIT, 3000)
        support.send_all(sender, sent)
        sizes = [len(request.body) for request in receiver.requests if request.path == INGEST]
        assert len(sizes) > 1
        assert max(sizes) < vendor.SIZE_MAX
        assert receiver.arrived().total() == len(sent)

    def test_a_row(self, receiver: Receiver, sender: SentinelSender) -> None:
        """The time keeps all its digits beside the column that holds seven."""
        one = structs.replace(support.event(category="success"), time_ns=support.START_NS + 123_456_789)
        support.send_all(sender, support.of_events([one], support.stream(fields={})))
        assert receiver.requests[-1].body.decode() == (
            '[{"TimeGenerated":"2026-03-04T05:06:07.1234567Z","EventTime":"2026-03-04T05:06:07.123456789Z",'
            '"ReceivedTime":"2026-03-04T05:10:07.123456789Z","Uuid":"AAAAAAAAAAAAAAAAAAAAAAAAAA",'
            f'"Account":"{support.ACCOUNT}","Api":"sign-in",'
            '"Metadata":{"_siemForward":true,"_siemVendor":"1Password","_siemProduct":"1Password",'
            '"_siemFormat":"JSON","_siemEventID":"signin-success","_source":"1Pass",'
            '"_sourceCategory":"sec/1password"},"Event":' + one.body + "}]"
        )
        assert receiver.requests[-1].headers["content-encoding"] == "gzip"

    def test_the_table_and_the_stream_of_the_documentation_have_its_columns(self) -> None:
        text = DOCUMENTATION.read_text()
        declared = re.findall(r'\{ ?"name": "(\w+)", "type": "(\w+)" ?\}', text)
        assert declared == [*sentinel_sender.COLUMNS.items()] * 2

    def test_no_host_but_this_one_gets_anything_in_the_clear(self) -> None:
        assert {f.path for f in siem("http://sentinel.example").problems()} == {"block.endpoint", "block.authority"}
        assert httpx.URL(siem("https://x.ingest.monitor.azure.com").endpoint).host
        assert not list(siem("https://x.ingest.monitor.azure.com").problems())
