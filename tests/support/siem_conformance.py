"""The tests that every target passes: `SenderConformance`, or `HttpConformance` for targets over HTTP.

A test module subclasses one of them and sets its abstract members:

    class TestSplunk(HttpConformance):
        module = "blocks.siem.splunk.sender"
        secrets = (TOKEN,)
        vendor = receivers.splunk.Splunk

        def block_at(self, url: str) -> SiemBlock: ...
        def arrived_in(self, request: Request) -> list[Arrived]: ...
        def faulty(self) -> tuple[SiemBlock, set[str]]: ...
"""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
import traceback
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import httpx
import pytest
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from receivers.server import Receiver, receiving
from support import siems as support
from support.certificates import HERE, SERVER_KEY, certificate, server_context, write_authority
from support.hostile_answers import BOMB, FOREVER, HOSTILE, PEAK_MAX

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.http import client as http_client
from blocks.problems import ConfigurationError
from blocks.siem.delivery.http import SiemHttpClient
from blocks.siem.delivery.protocol import RequestRejectedError, TooLargeError
from blocks.siem.formats import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from receivers.request import Request, Vendor

    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.protocol import Sender
    from blocks.siem.formats.event import FormattedEvent

TOO_LARGE = 413
COUNT = 60  # events of each API, where a test needs not all documented ones


@dataclass(frozen=True)
class Arrived:
    """An event as the target has it: its document, and the facts and metadata that were sent beside the document."""

    document: bytes
    uuid: str
    facts: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)


class SenderConformance:
    """Tests of any target. A subclass sets `module` and `secrets`, and implements `block`, `arrived` and `faulty`."""

    module: ClassVar[str]
    """The sender's module."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Secrets in the block of the tests, which must never be shown."""
    formats: ClassVar[tuple[str, ...]] = support.FORMATS

    @pytest.fixture
    def block(self) -> SiemBlock:
        """A block for a target that runs."""
        raise NotImplementedError

    @pytest.fixture
    def arrived(self) -> Callable[[], list[Arrived]]:
        """A function that returns all events of the target, in any order."""
        raise NotImplementedError

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        """A block with two problems or more, and the paths of all of them, such as `block.url`."""
        raise NotImplementedError

    @pytest.fixture
    def sender(self, block: SiemBlock) -> Iterator[Sender]:
        opened = block.get_sender()
        yield opened
        opened.close()

    # What arrives

    @pytest.mark.parametrize("api", list(Api))
    @pytest.mark.parametrize("format_name", support.FORMATS)
    def test_every_documented_event_arrives_in_every_format(
        self, sender: Sender, arrived: Callable[[], list[Arrived]], format_name: str, api: Api
    ) -> None:
        sent = self._formatted(api, support.DOCUMENTED, format_name)
        self._deliver(sender, sent)
        have = {one.uuid: one for one in arrived()}
        assert Counter(one.uuid for one in arrived()) == Counter(one.event.uuid for one in sent)
        for one in sent:
            self.require(one, have[one.event.uuid])

    @pytest.mark.parametrize("classifier", ["event-id", "parser"])
    def test_the_classifier_is_the_event_id_or_the_parser_and_never_both(
        self, sender: Sender, arrived: Callable[[], list[Arrived]], classifier: str
    ) -> None:
        self._deliver(sender, self._formatted(Api.AUDIT, COUNT, "raw", classifier=classifier))
        name = "_siemParser" if classifier == "parser" else "_siemEventID"
        assert all({"_siemParser", "_siemEventID"} & set(one.metadata) == {name} for one in arrived())

    @pytest.mark.parametrize("format_name", support.FORMATS)
    def test_events_without_siem_forward_have_no_siem_metadata(
        self, sender: Sender, arrived: Callable[[], list[Arrived]], format_name: str
    ) -> None:
        fields = {"_siemForward": False, "_siemVendor": "else", "team": "blue"}
        self._deliver(sender, self._formatted(Api.AUDIT, COUNT, format_name, classifier=None, fields=fields))
        assert len(arrived()) == COUNT
        assert not [one for one in arrived() if "_siem" in f"{one.document!r}{one.metadata}"]

    def test_an_event_of_no_known_account_arrives_without_one(
        self, sender: Sender, arrived: Callable[[], list[Arrived]]
    ) -> None:
        one = support.event(Api.SIGN_IN, category="success")
        self._deliver(sender, support.of_events([one], support.stream(account=None)))
        assert [(have.uuid, "account" in have.facts) for have in arrived()] == [(one.uuid, False)]

    def test_whatever_a_body_holds_arrives(self, sender: Sender, arrived: Callable[[], list[Arrived]]) -> None:
        one = support.event(
            Api.SIGN_IN, category='a\n"b", é=\u2028', country="日本", details={"value": "x\\y\u0000,;="}
        )
        self._deliver(sender, support.of_events([one], support.stream()))
        assert [json.loads(have.document) for have in arrived()] == [json.loads(one.body)]

    def test_threads_share_a_sender(self, sender: Sender, arrived: Callable[[], list[Arrived]]) -> None:
        sent = self._formatted(Api.SIGN_IN, 200)
        parts = [sent[at : at + 20] for at in range(0, len(sent), 20)]
        with ThreadPoolExecutor(sender.limits.parallel) as pool:  # a directory or a bucket takes one at a time
            list(pool.map(lambda part: support.send_all(sender, part), parts))
        assert Counter(one.uuid for one in arrived()) == Counter(one.event.uuid for one in sent)

    def test_a_check_sends_no_event(self, sender: Sender, arrived: Callable[[], list[Arrived]]) -> None:
        assert sender.check().endswith(".")
        assert arrived() == []

    def test_it_may_be_closed_twice(self, block: SiemBlock) -> None:
        sender = block.get_sender()
        sender.close()
        sender.close()

    def test_a_record_is_of_its_event(self, sender: Sender) -> None:
        for one in self._formatted(Api.ITEM_USAGE, COUNT):
            record = sender.encode(one)
            assert record.event is one.event
            assert record == sender.encode(one)
            assert all(isinstance(part, str) for part in record.group)

    def require(self, sent: FormattedEvent, have: Arrived) -> None:
        """Assert that an event arrived with its document, facts and metadata."""
        assert have.document == sent.document
        document = json.loads(have.document)
        shown = json.dumps(document, ensure_ascii=False)
        for name, value in metadata.event_facts(sent).items():
            in_body = sent.format_name == "raw" and name in {"uuid", "time"}
            assert have.facts.get(name) == value or in_body or (sent.format_name != "raw" and value in shown), name
        members = {} if sent.format_name == "raw" else _members(document)
        for name, value in metadata.event_metadata(sent).items():
            assert plain(have.metadata.get(name, members.get(name))) == plain(value), name
        assert sent.format_name != "raw" or set(have.metadata) == set(metadata.event_metadata(sent))

    def _formatted(self, api: Api, n: int, format_name: str = "raw", **members: object) -> list[FormattedEvent]:
        if format_name not in self.formats:
            pytest.skip(f"It has no format {format_name}.")
        return support.formatted(api, n, format_name, **members)

    def _deliver(self, sender: Sender, sent: Sequence[FormattedEvent]) -> None:
        for answer in support.send_all(sender, sent):
            assert (answer.rejected, answer.deferred) == ((), ())

    # Nothing shows a secret

    def test_neither_block_nor_sender_shows_a_secret(self, block: SiemBlock, sender: Sender) -> None:
        shown = [
            repr(sender),
            str(sender),
            repr(block),
            str(block),
            block.model_dump_json(),
            str(block.public_settings()),
        ]
        assert_secret(self.secrets, *shown, pickle.dumps(block), _pickled(sender))

    # The block

    def test_the_block_is_a_good_one(self, block: SiemBlock) -> None:
        suite = BlockStandardTestSuite
        for test in (
            suite.test_has_a_description,
            suite.test_has_a_documentation_url,
            suite.test_all_fields_have_a_description,
            suite.test_has_a_valid_code_example,
        ):
            test(self, type(block))  # type: ignore[arg-type]
        assert block._logo_url is None, "a logo would be fetched from elsewhere by the browser of everyone"
        assert type(block)._block_type_slug == f"1password-siem-{block.kind}"
        assert block.kind
        assert block.guarantee
        untitled = [name for name, form in self._form(block).items() if "title" not in form]
        assert not untitled

    def test_its_secrets_are_secrets_to_prefect(self, block: SiemBlock) -> None:
        secret = set(type(block).model_json_schema()["secret_fields"])
        shown = json.dumps(
            {name: value for name, value in block.public_settings().items() if name not in secret}, default=str
        )
        assert "hash_key" in secret
        assert not secret & set(block.public_settings())
        assert_secret(self.secrets, shown)

    def test_the_block_is_valid_and_another_secret_is_another_fingerprint(self, block: SiemBlock) -> None:
        assert block.ensure_valid() is block
        assert block.model_copy(update={"event_format": "ecs"}).fingerprint() != block.fingerprint()
        assert block.model_copy().fingerprint() == block.fingerprint()

    def test_all_problems_are_reported_at_once(self) -> None:
        block, paths = self.faulty()
        with pytest.raises(ConfigurationError) as raised:
            block.ensure_valid()
        assert {problem.path for problem in raised.value.problems} == paths
        assert len(paths) > 1
        assert_secret(self.secrets, *_shown(raised.value))

    def test_the_sender_knows_nothing_of_prefect(self) -> None:
        code = f"import sys, {self.module}; print(sorted({{name.split('.')[0] for name in sys.modules}}))"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert "'httpx'" in loaded or "'blocks'" in loaded
        assert "'prefect'" not in loaded

    def _form(self, block: SiemBlock) -> dict[str, dict[str, object]]:
        form: dict[str, dict[str, object]] = type(block).model_json_schema()["properties"]
        return form


class HttpConformance(SenderConformance):
    """Tests of a target over HTTP. A subclass implements `vendor`, `block_at`, `arrived_in` and `faulty`."""

    vendor: ClassVar[Callable[[], Vendor]]
    paths: ClassVar[tuple[str, ...]] = ("",)
    """A part of each path to which events are sent; each path may belong to another server."""

    def block_at(self, url: str) -> SiemBlock:
        """A block for a receiver at `http://127.0.0.1:port` (or https), which has `secrets`."""
        raise NotImplementedError

    def arrived_in(self, request: Request) -> Iterable[Arrived]:
        """The events in a request; empty for requests without events."""
        raise NotImplementedError

    @pytest.fixture
    def receiver(self) -> Iterator[Receiver]:
        with receiving(type(self).vendor()) as running:
            yield running

    @pytest.fixture
    def block(self, receiver: Receiver) -> SiemBlock:
        return self.block_at(receiver.url)

    @pytest.fixture
    def arrived(self, receiver: Receiver) -> Callable[[], list[Arrived]]:
        return lambda: [one for request in receiver.requests for one in self.arrived_in(request)]

    # Each outcome is a single error, and no event counts as sent

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_rejected_secret_is_a_configuration_error(self, receiver: Receiver, sender: Sender, status: int) -> None:
        receiver.behave("answer", None, status=status, echo=True)
        for ask in (lambda: self._send_one(sender), sender.check):
            with pytest.raises(ThirdPartyConfigError) as raised:
                ask()
            assert raised.value.code == str(status)
            assert raised.value.hint

    @pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "7"}, 7.0), ({}, None)])
    def test_too_many_requests_are_sent_again_when_the_siem_says(
        self, receiver: Receiver, sender: Sender, headers: dict[str, str], wait: float | None
    ) -> None:
        receiver.behave("answer", None, status=429, headers=headers)
        with pytest.raises(ThirdPartyGenericError) as raised:
            self._send_one(sender)
        assert (raised.value.code, raised.value.retry_after) == ("429", wait)

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    def test_a_temporary_status_is_retried(self, receiver: Receiver, sender: Sender, status: int) -> None:
        receiver.behave("answer", None, status=status)
        with pytest.raises(ThirdPartyGenericError) as raised:
            self._send_one(sender)
        assert raised.value.code == str(status)

    @pytest.mark.parametrize("kind", ["reset", "drop"])
    def test_a_connection_that_breaks_off_is_made_again(self, receiver: Receiver, sender: Sender, kind: str) -> None:
        receiver.behave(kind, None)  # type: ignore[arg-type]
        with pytest.raises(ThirdPartyGenericError):
            self._send_one(sender)
        receiver.clear()
        self._send_one(sender)
        assert receiver.arrived().total() == (2 if kind == "drop" else 1)

    def test_a_siem_that_never_answers_times_out(
        self, receiver: Receiver, block: SiemBlock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(SiemHttpClient.__init__.__kwdefaults__ or {}, "timeout", httpx.Timeout(0.2))
        receiver.behave("stall", None)
        sender = block.get_sender()
        with pytest.raises(ThirdPartyGenericError) as raised:
            self._send_one(sender)
        sender.close()
        assert raised.value.code == "timeout"

    @pytest.mark.parametrize("hostility", HOSTILE)
    def test_a_hostile_answer_is_bounded_in_bytes_and_in_time(
        self, receiver: Receiver, block: SiemBlock, monkeypatch: pytest.MonkeyPatch, hostility: str
    ) -> None:
        answer, codes = HOSTILE[hostility]
        for path in self.paths:
            receiver.behave("raw", None, path=path, **answer)
            with monkeypatch.context() as short:
                if "timeout" in codes:
                    short.setitem(SiemHttpClient.__init__.__kwdefaults__ or {}, "deadline", 0.5)
                sender = block.get_sender()
            error, peak = self._peak(sender)
            assert error.code in codes
            assert peak < PEAK_MAX
            receiver.clear()
            sender.close()
            sender = block.get_sender()
            self._send_one(sender)
            sender.close()

    def _peak(self, sender: Sender) -> tuple[SourceError, int]:
        tracemalloc.start()
        try:
            with pytest.raises(ThirdPartyGenericError) as raised:
                self._send_one(sender)
            return raised.value, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_a_content_length_that_is_too_short_spoils_one_more_request_at_most(
        self, receiver: Receiver, sender: Sender
    ) -> None:
        receiver.behave("raw", start=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + b"what is too much " * 100)
        outcomes = {_raised_by(lambda: self._send_one(sender)) for _ in range(2)}
        assert outcomes <= {None, ThirdPartyGenericError}
        self._send_one(sender)

    def test_a_status_that_says_enough_needs_no_body(
        self, receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_client, "ERROR_BODY_SECONDS", 0.2)
        head = b"HTTP/1.1 503 No\r\nRetry-After: 9\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n"
        receiver.behave("raw", None, start=head + BOMB[:1000], drip=b"\0", drips=FOREVER, seconds=0.01)
        with pytest.raises(ThirdPartyGenericError) as raised:
            self._send_one(sender)
        assert (raised.value.code, raised.value.retry_after) == ("503", 9.0)

    def test_a_receiver_that_does_not_listen_is_a_connect_error(self, receiver: Receiver, sender: Sender) -> None:
        receiver.stop()
        with pytest.raises(ThirdPartyGenericError):
            self._send_one(sender)

    def test_a_request_that_is_too_large_says_so(self, receiver: Receiver, sender: Sender) -> None:
        receiver.behave("too-large", None, bytes=10)
        with pytest.raises(TooLargeError):
            self._send_one(sender)
        assert receiver.arrived().total() == 0

    @pytest.mark.parametrize("status", [200, 202])
    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({"Content-Type": "text/html; charset=utf-8"}, "<!DOCTYPE html><html>Sign in</html>"),
            ({}, "\n<html>Sign in</html>"),
        ],
    )
    def test_a_web_page_acknowledges_nothing(
        self, receiver: Receiver, sender: Sender, status: int, headers: dict[str, str], body: str
    ) -> None:
        """The answer of a proxy or a sign-in page in place of the SIEM's."""
        receiver.behave("answer", None, status=status, headers=headers, body=body)
        for ask in (lambda: self._send_one(sender), sender.check):
            with pytest.raises(ThirdPartyGenericError) as raised:
                ask()
            assert raised.value.code == "invalid-body"
            assert raised.value.hint

    @pytest.mark.parametrize("status", [400, 413, 422])
    def test_only_events_are_looked_through_for_the_one_that_spoils_a_request(
        self, receiver: Receiver, sender: Sender, status: int
    ) -> None:
        receiver.behave("answer", None, status=status)
        kind = TooLargeError if status == TOO_LARGE else RequestRejectedError
        with pytest.raises(kind):
            self._send_one(sender)
        assert _raised_by(sender.check) in {None, ThirdPartyConfigError}

    def test_a_redirect_is_not_followed(self, receiver: Receiver, sender: Sender) -> None:
        with receiving(type(self).vendor()) as elsewhere:
            receiver.behave("answer", None, status=307, headers={"Location": elsewhere.url})
            with pytest.raises(ThirdPartyConfigError, match="redirect"):
                self._send_one(sender)
            assert elsewhere.request_count == 0

    @pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500])
    def test_no_secret_is_shown_though_the_siem_repeats_it(
        self, receiver: Receiver, sender: Sender, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        receiver.behave("answer", None, status=status, echo=True, body=f"{' '.join(self.secrets)} ")
        for ask in (lambda: self._send_one(sender), sender.check):
            with pytest.raises(SourceError) as raised:
                ask()
            assert_secret(self.secrets, *_shown(raised.value))
        assert_secret(self.secrets, caplog.text)

    def test_an_ordinary_request_logs_no_secret(self, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._send_one(sender)
        assert_secret(self.secrets, caplog.text)

    def test_a_self_signed_certificate_is_rejected(self, tmp_path: Path) -> None:
        shown = certificate(HERE, signed_by=SERVER_KEY)
        with receiving(type(self).vendor(), tls=server_context(tmp_path, shown)) as receiver:
            sender = self.block_at(receiver.url).get_sender()
            with pytest.raises(ThirdPartyGenericError) as raised:
                self._send_one(sender)
            sender.close()
            assert (raised.value.code, receiver.request_count) == ("tls", 0)

    def test_the_authority_that_the_environment_names_is_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path / "authority.pem"))
        with receiving(type(self).vendor(), tls=server_context(tmp_path, certificate(HERE))) as receiver:
            sender = self.block_at(receiver.url).get_sender()
            self._send_one(sender)
            sender.close()
            assert receiver.arrived().total() == 1

    def _send_one(self, sender: Sender) -> None:
        sender.send(support.batch(sender, [support.event(category="success")]))


def plain(value: object) -> str | None:
    """The value as text, for targets that store text alone: `true`, `2`."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def assert_secret(secrets: Iterable[str], *shown: str | bytes) -> None:
    for secret in secrets:
        assert not [text for text in shown if (secret.encode() if isinstance(text, bytes) else secret) in text]  # type: ignore[operator]


def _raised_by(ask: Callable[[], object]) -> type[SourceError] | None:
    try:
        ask()
    except SourceError as error:
        return type(error)
    return None


def _shown(error: SourceError) -> list[str | bytes]:
    trace = "".join(traceback.format_exception(error, chain=True))
    return [repr(error), str(error), repr(error.__dict__), trace, pickle.dumps(error)]


def _pickled(sender: Sender) -> bytes:
    try:
        return pickle.dumps(sender)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        return str(error).encode()


def _members(value: object) -> dict[str, object]:
    """The members of a document by their names, however deep; of those of one name the first that is not null."""
    if not isinstance(value, dict):
        return _merged(value) if isinstance(value, list) else {}
    return {**_merged(list(value.values())), **value}


def _merged(values: list[object]) -> dict[str, object]:
    merged: dict[str, object] = {}
    for value in reversed(values):
        merged |= {name: member for name, member in _members(value).items() if member is not None}
    return merged
