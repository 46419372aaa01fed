"""A webhook, against a receiver that checks signatures with the published library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from receivers import webhook as vendor
from receivers.request import uuid_of
from receivers.server import receiving
from receivers.webhook import AUTHORIZATION, PATH, SECRET
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError
from support import siems as support
from support.siem_conformance import Arrived, HttpConformance, assert_secret

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.siem.webhook import sender as webhook_sender
from blocks.siem.webhook.block import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from receivers.request import Request
    from receivers.server import Receiver
    from support.moving_clock import MovingClock

    from blocks.siem.webhook.sender import WebhookSender

OTHER_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
FACTS = {"uuid", "api", "time", "received", "account"}


def siem(url: str, **members: Any) -> Webhook:
    given = {
        "url": SecretStr(url + PATH),
        "signing_secret": SecretStr(SECRET),
        "headers": SecretStr(f"Authorization: {AUTHORIZATION}\nX-Team: blue"),
    }
    return Webhook(**{**given, **members})


class Conformance(HttpConformance):
    module = "blocks.siem.webhook.sender"
    secrets = (SECRET, PATH, AUTHORIZATION.removeprefix("Bearer "), PATH.rpartition("/")[2])
    vendor = vendor.Webhook

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        for line in vendor.documents(request):
            envelope = json.loads(line)
            if "received" not in envelope:  # ECS and OCSF hold all of it themselves
                yield Arrived(line, uuid_of(line), metadata=metadata_in(envelope))
                continue
            facts = {name: envelope.pop(name) for name in FACTS & set(envelope)}
            document = line.partition(b'"event":')[2][:-1]
            del envelope["event"]
            yield Arrived(document, facts["uuid"], facts, envelope)

    def faulty(self) -> tuple[Webhook, set[str]]:
        wrong = {
            "url": SecretStr(f"http://example.org{PATH}"),
            "signing_secret": SecretStr(SECRET[:-16]),
            "headers": SecretStr("webhook-id: 1"),
            "batch_events": 0,
            "batch_bytes": 1,
            "parallel": 17,
        }
        return Webhook(**wrong), {f"block.{name}" for name in wrong}

    def test_a_web_page_acknowledges_nothing(self, receiver: Receiver, sender: WebhookSender) -> None:  # type: ignore[override]
        """It is one here: any 2xx is what a webhook answers, whatever stands in it."""
        receiver.behave("answer", None, status=200, body="<html>Thank you</html>")
        self._send_one(sender)
        assert sender.check()


def metadata_in(document: Any) -> dict[str, Any]:
    """The metadata that a document of ECS or OCSF holds."""
    if "ecs" in document:
        ours = {f"_{name}": value for name, value in document["onepassword_source"].items() if name != "api"}
        return ours | document.get("labels", {})
    return {tag["name"]: tag["value"] for tag in document["metadata"]["tags"]}


class TestNdjson(Conformance):
    def block_at(self, url: str) -> Webhook:
        return siem(url, body_format="ndjson")


class TestJsonArray(Conformance):
    def block_at(self, url: str) -> Webhook:
        return siem(url, compress=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(vendor.Webhook()) as running:
        yield running


@pytest.fixture
def opened(receiver: Receiver) -> Iterator[Callable[..., WebhookSender]]:
    senders = []

    def open_one(**members: Any) -> WebhookSender:
        senders.append(siem(receiver.url, **members).get_sender())
        return senders[-1]

    yield open_one
    for sender in senders:
        sender.close()


def hook(receiver: Receiver) -> vendor.Webhook:
    assert isinstance(receiver.vendor, vendor.Webhook)
    return receiver.vendor


def send(sender: WebhookSender, n: int = 3) -> None:
    support.send_all(sender, support.formatted(Api.AUDIT, n))


class TestSignature:
    @pytest.mark.parametrize("body", ["", '{"a":1}\n', "é\u2028"])
    def test_it_is_that_of_the_published_library(self, body: str) -> None:
        from datetime import UTC, datetime

        expected = Standard(SECRET).sign("id", datetime.fromtimestamp(1674087231, UTC), body)
        keys = webhook_sender.parse_signing_secrets(SECRET)
        assert webhook_sender.signature(keys, "id", "1674087231", body.encode()) == expected

    @pytest.mark.parametrize("events", [0, 3])
    def test_the_default_body_is_signed_as_published_and_one_json_array(
        self, receiver: Receiver, opened: Callable[..., WebhookSender], events: int
    ) -> None:
        """As verify of the npm packages standardwebhooks and svix goes about it: the HMAC, and then JSON.parse."""
        sender = opened()
        if events:
            send(sender, events)
        else:
            sender.check()
        (request,) = receiver.requests
        head = [request.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signed = f"{head[0]}.{head[1]}.".encode() + request.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert head[2] == f"v1,{expected}"
        assert request.headers["content-type"] == "application/json"
        parsed = json.loads(request.body)
        assert [type(one) for one in parsed] == [dict] * events

    def test_a_wrong_secret_is_rejected(self, receiver: Receiver, opened: Callable[..., WebhookSender]) -> None:
        sender = opened(signing_secret=SecretStr(OTHER_SECRET))
        with pytest.raises(ThirdPartyConfigError, match="No matching signature") as raised:
            sender.check()
        assert_secret((OTHER_SECRET,), str(raised.value))
        assert not receiver.arrived()

    def test_while_a_secret_is_changed_either_is_good(
        self, receiver: Receiver, opened: Callable[..., WebhookSender]
    ) -> None:
        sender = opened(signing_secret=SecretStr(f"{OTHER_SECRET} {SECRET}"))
        send(sender)
        hook(receiver).secret = OTHER_SECRET
        send(sender)
        assert receiver.arrived().total() == 6

    def test_what_is_signed_is_the_body_before_compression(
        self, receiver: Receiver, opened: Callable[..., WebhookSender]
    ) -> None:
        send(opened(compress=True))
        request = receiver.requests[0]
        assert request.headers["content-encoding"] == "gzip"
        vendor.verify(SECRET, request)
        with pytest.raises(WebhookVerificationError):
            vendor.verify(OTHER_SECRET, request)

    def test_the_time_is_that_of_the_attempt(
        self, receiver: Receiver, opened: Callable[..., WebhookSender], moving: MovingClock
    ) -> None:
        sender = opened(signing_secret=SecretStr(""))
        receiver.behave("answer", None, status=200)
        for _ in range(2):
            send(sender)
            moving.advance(7)
        times = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
        assert times == [1_790_000_000, 1_790_000_007]
        assert not [request for request in receiver.requests if "webhook-signature" in request.headers]


class TestIdempotency:
    def test_the_same_events_have_the_same_id_and_others_never(
        self, receiver: Receiver, opened: Callable[..., WebhookSender]
    ) -> None:
        hook(receiver).remembers = True
        receiver.behave("drop")
        with pytest.raises(Exception, match="broke off"):
            send(opened())
        send(opened())
        assert set(receiver.arrived().values()) == {1}
        assert len(set(hook(receiver).ids)) == 1
        sender = opened()
        sender.send(support.batch(sender, [support.events(Api.AUDIT, 3)[0], support.events(Api.AUDIT, 3)[2]]))
        assert len(set(hook(receiver).ids)) == 2

    @pytest.mark.parametrize(("name", "kept"), [("f-12-1-500", True), ("a.b", False), ("é", False), ("x" * 300, False)])
    def test_an_id_can_stand_in_a_header_and_has_no_dot(self, name: str, kept: bool) -> None:
        made = webhook_sender.webhook_id(name, b"{}")
        assert re.fullmatch(r"[A-Za-z0-9_-]{24,180}", made)
        assert made.startswith(name) == kept


class TestRequests:
    def test_any_2xx_acknowledges_the_batch(self, receiver: Receiver, opened: Callable[..., WebhookSender]) -> None:
        for status in (200, 201, 202, 204):
            receiver.behave("answer", 1, status=status)
            send(opened())

    def test_they_are_as_large_as_was_set(self, receiver: Receiver, opened: Callable[..., WebhookSender]) -> None:
        sender = opened(batch_events=7, batch_bytes=10_000, parallel=1)
        send(sender, 30)
        taken = [vendor.documents(request) for request in receiver.requests]
        assert sum(map(len, taken)) == 30
        assert max(map(len, taken)) <= 7
        assert max(len(request.body) for request in receiver.requests) <= 10_000
        assert sender.limits.parallel == 1

    def test_headers_of_ones_own(self, receiver: Receiver, opened: Callable[..., WebhookSender]) -> None:
        send(opened())
        assert receiver.requests[0].headers["x-team"] == "blue"
