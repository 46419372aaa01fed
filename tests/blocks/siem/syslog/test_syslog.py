"""Syslog over TLS, to the rsyslog and the syslog-ng of Debian, and to receivers that misbehave."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from support import certificates, real_syslog
from support import siems as support
from support.one_machine import wait_until
from support.real_syslog import Rsyslog, SyslogNg, running
from support.siem_conformance import Arrived, SenderConformance

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.siem.formats import registry
from blocks.siem.syslog import rfc5425, tls_channel
from blocks.siem.syslog.block import Syslog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.real_syslog import Daemon, Message

    from blocks.siem.base import SiemBlock
    from blocks.siem.formats.event import FormattedEvent
    from blocks.siem.syslog.sender import SyslogSender

OURS = certificates.certificate(certificates.HERE).public_bytes(Encoding.PEM).decode()
KEY = real_syslog.pem_of(certificates.SERVER_KEY)
SD_ID = "1password@32473"
FACTS = {"uuid", "api", "time", "received", "account"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(Rsyslog(tmp_path_factory.mktemp("rsyslog"))) as rsyslog:
        yield rsyslog


@pytest.fixture
def rsyslog(daemon: Daemon) -> Daemon:
    daemon.forget()
    return daemon


def block_for(daemon: Daemon, **members: object) -> Syslog:
    authority = (daemon.directory / "authority.pem").read_text()
    given = {"host": "localhost", "port": daemon.port, "hostname": "here", "ca_certificate": authority, **members}
    return Syslog.model_validate(given)


class TestSyslog(SenderConformance):
    module: ClassVar[str] = "blocks.siem.syslog.sender"
    secrets: ClassVar[tuple[str, ...]] = (KEY.splitlines()[1], "key-for-hashes")

    @pytest.fixture
    def block(self, rsyslog: Daemon) -> SiemBlock:
        ours = {"client_certificate": OURS, "client_key": SecretStr(KEY)}
        return block_for(rsyslog, **ours, hash_key=SecretStr("key-for-hashes"))

    @pytest.fixture
    def arrived(self, rsyslog: Daemon) -> Callable[[], list[Arrived]]:
        return lambda: [_arrived(message) for message in rsyslog.messages()]

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        wrong = {"host": "tls://here", "port": 0, "hostname": "with space", "sd_id": "meta", "max_message": -1}
        paths = {*wrong, "client_certificate", "ca_certificate"}
        block = Syslog(**wrong, client_key=SecretStr(KEY), ca_certificate="none")  # type: ignore[arg-type]
        return block, {f"block.{name}" for name in paths}


def _arrived(message: Message) -> Arrived:
    beside = message.sd[SD_ID]
    facts = {name: value for name, value in beside.items() if name in FACTS}
    rest = {name: value for name, value in beside.items() if name not in FACTS}
    return Arrived(message.msg, facts["uuid"], facts, rest)


# What a daemon reads


def test_rsyslog_reads_each_part_of_a_message(rsyslog: Daemon) -> None:
    send(block_for(rsyslog), [_formatted(category="credentials_failed")])
    (message,) = rsyslog.messages()
    assert (message.pri, message.timestamp) == (109, "2026-03-04T05:06:07.089000Z")
    assert (message.hostname, message.app_name, message.procid) == ("here", "1password", "-")
    assert message.msgid == "signin-credentials_failed"


@pytest.mark.parametrize("format_name", support.FORMATS)
def test_syslog_ng_reads_every_documented_event(tmp_path: Path, format_name: str) -> None:
    sent = [one for api in Api for one in support.formatted(api, format_name=format_name)]
    with running(SyslogNg(tmp_path)) as syslog_ng:
        send(block_for(syslog_ng), sent)
        wait_until(lambda: len(syslog_ng.lines()) == len(sent))
        have = {message.sd[SD_ID]["uuid"]: message for message in syslog_ng.messages()}
    for one in sent:
        message = have[one.event.uuid]
        assert message.msg == one.document
        assert (message.msgid, message.hostname) == (one.event_id, "here")
        assert message.timestamp == message.sd[SD_ID]["time"][:26]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(max_examples=60)
@given(source=TEXTS, category=TEXTS, team=TEXTS, value=TEXTS)
def test_rsyslog_reads_whatever_goes_with_an_event(
    daemon: Daemon, source: str, category: str, team: str, value: str
) -> None:
    daemon.forget()
    stream = support.stream(source=source, category=category, fields={"team": team})
    one = support.event(Api.SIGN_IN, category="success", details={"value": value})
    formatted = registry.format_event("raw", one, stream)
    send(block_for(daemon), [formatted])
    (message,) = daemon.messages()
    own = message.sd[SD_ID]
    assert message.msg == formatted.document
    assert (own["_source"], own["team"]) == (_spaced(source), _spaced(team))
    assert own.get("_sourceCategory", "") == _spaced(category)


def _spaced(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)


# Messages that are too long


def test_a_message_that_rsyslog_would_truncate_is_rejected_and_the_others_are_sent(tmp_path: Path) -> None:
    most = 8192
    with running(Rsyslog(tmp_path, max_message="8k")) as rsyslog:
        sender = block_for(rsyslog).get_sender()
        fits, too_long, short = _of_size(sender, most), _of_size(sender, most + 1), _formatted(category="success")
        batch = support.batch(sender, [one.event for one in (too_long, fits, short)])
        (refused,) = sender.send(batch).rejected
        assert (refused.index, refused.code) == (0, "too-large")
        assert "8,193 octets" in refused.answer
        assert [message.msg for message in rsyslog.messages()] == [fits.document, short.document]


def test_a_batch_of_nothing_but_long_messages_opens_no_connection(rsyslog: Daemon) -> None:
    sender = block_for(rsyslog, max_message=100, port=1).get_sender()
    answer = sender.send(support.batch(sender, [_formatted(category="success").event] * 2))
    assert [refused.index for refused in answer.rejected] == [0, 1]


def test_without_a_limit_the_longest_message_is_sent(rsyslog: Daemon) -> None:
    long = _of_size(block_for(rsyslog).get_sender(), 50_000)
    send(block_for(rsyslog, max_message=0), [long])
    assert [message.msg for message in rsyslog.messages()] == [long.document]


def _of_size(sender: SyslogSender, size: int) -> FormattedEvent:
    bare = rfc5425.message_length(sender.encode(_formatted(category="success", details="")).data)
    return _formatted(category="success", details="x" * (size - bare))


# Certificates


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (certificates.certificate(certificates.ELSEWHERE), "Hostname mismatch"),
        (certificates.certificate(certificates.HERE, signed_by=certificates.SERVER_KEY), "self-signed"),
        (certificates.certificate(certificates.HERE, signed_by=certificates.OTHER_KEY), "unable to get"),
        (certificates.certificate(certificates.HERE, days=-1), "expired"),
    ],
    ids=["another name", "self-signed", "another authority", "expired"],
)
def test_a_certificate_of_another_host_is_rejected(tmp_path: Path, shown: x509.Certificate, said: str) -> None:
    with running(Rsyslog(tmp_path), shown) as rsyslog:
        sender = block_for(rsyslog).get_sender()
        with pytest.raises(ThirdPartyGenericError, match=said) as raised:
            sender.send(support.batch(sender, [_formatted(category="success").event]))
        assert raised.value.code == "tls"
        assert rsyslog.lines() == []


def test_without_an_authority_of_its_own_the_public_ones_are_trusted(
    rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = block_for(rsyslog, ca_certificate="").get_sender()
    with pytest.raises(ThirdPartyGenericError):
        sender.check()
    monkeypatch.setenv("SSL_CERT_FILE", str(rsyslog.directory / "authority.pem"))
    block_for(rsyslog, ca_certificate="").get_sender().check()


def test_an_authority_of_its_own_is_the_only_one(rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(rsyslog.directory / "authority.pem"))
    other = certificates.certificate(certificates.HERE, signed_by=certificates.SERVER_KEY)
    sender = block_for(rsyslog, ca_certificate=other.public_bytes(Encoding.PEM).decode()).get_sender()
    with pytest.raises(ThirdPartyGenericError):
        sender.check()


def test_missing_authorities_of_the_environment_are_an_error(rsyslog: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with pytest.raises(ThirdPartyConfigError) as raised:
        block_for(rsyslog, ca_certificate="").get_sender()
    assert raised.value.code == "environment"


@pytest.mark.parametrize("auth_mode", ["x509/certvalid", "x509/name"])
def test_a_receiver_that_wants_a_client_certificate(tmp_path: Path, auth_mode: str) -> None:
    with running(Rsyslog(tmp_path, auth_mode=auth_mode)) as rsyslog:
        batch = [_formatted(category="success")] * 2000
        for attempt in (lambda: block_for(rsyslog).get_sender().check(), lambda: send(block_for(rsyslog), batch)):
            with pytest.raises(ThirdPartyConfigError) as raised:
                attempt()
            assert raised.value.code == "client-certificate"
        assert rsyslog.lines() == []
        send(block_for(rsyslog, client_certificate=OURS, client_key=SecretStr(KEY)), batch)
        assert len(rsyslog.lines()) == len(batch)


@pytest.mark.parametrize("count", [1, 2000])
@pytest.mark.parametrize("driver", ["ossl", "gtls"])
def test_a_receiver_that_knows_us_not_and_says_goodbye_politely_does_not_confirm(
    tmp_path: Path, driver: str, count: int
) -> None:
    batch = [_formatted(category="success")] * count
    with running(Rsyslog(tmp_path, driver=driver, auth_mode="x509/name", permitted="elsewhere")) as rsyslog:
        ours = {"client_certificate": OURS, "client_key": SecretStr(KEY), "confirm": driver == "ossl"}
        block = block_for(rsyslog, **ours)
        taken = 0
        for _ in range(10):
            # The ossl driver of rsyslog 8.2302 lets some strangers in. Then it does take what they send.
            with contextlib.suppress(ThirdPartyGenericError):
                send(block, batch)
                taken += count
        assert len(rsyslog.lines()) == taken
        assert driver == "ossl" or taken == 0


# Which batches count as sent


def test_rsyslogs_gtls_driver_does_not_confirm(tmp_path: Path) -> None:
    with running(Rsyslog(tmp_path, driver="gtls")) as rsyslog:
        with pytest.raises(ThirdPartyGenericError, match="set confirm to false") as raised:
            block_for(rsyslog).get_sender().check()
        assert raised.value.code == "unconfirmed"
        send(block_for(rsyslog, confirm=False), support.formatted(Api.AUDIT))
        assert len(rsyslog.lines()) == support.DOCUMENTED


@pytest.mark.parametrize("confirm", [True, False])
def test_a_receiver_that_breaks_off_does_not_confirm(tmp_path: Path, confirm: bool) -> None:
    with answering(tmp_path, _reset) as receiver:
        assert _code_of(receiver, confirm=confirm) in {"reset", "tls"}


@pytest.mark.parametrize("confirm", [True, False])
def test_a_receiver_that_says_goodbye_before_it_has_read_does_not_confirm(tmp_path: Path, confirm: bool) -> None:
    with answering(tmp_path, _goodbye_unread) as receiver:
        assert _code_of(receiver, confirm=confirm) == "reset"


def test_a_receiver_that_reads_all_and_dies_does_not_confirm(tmp_path: Path) -> None:
    with answering(tmp_path, _read_and_die) as receiver:
        assert _code_of(receiver, confirm=True) == "unconfirmed"
        _send_one(receiver, confirm=False)


def test_a_receiver_that_never_confirms_gets_the_messages_once(tmp_path: Path) -> None:
    """Until it confirms a session without messages, no message is sent to it again, unless you set confirm to false."""
    got: list[bytes] = []
    with answering(tmp_path, lambda connection, _: got.append(_read_all(connection))) as receiver:
        for _ in range(5):
            assert _code_of(receiver, confirm=True) == "unconfirmed"
        first, *later = got
        assert later == [b""] * 4
        got.clear()
        _send_one(receiver, confirm=False)
        assert got == [b"", first]


def test_a_receiver_that_confirms_again_gets_the_messages_again(tmp_path: Path) -> None:
    got: list[bytes] = []

    def behave(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        got.append(_read_all(connection))
        if len(got) > 1:
            connection.unwrap()

    with answering(tmp_path, behave) as receiver:
        assert _code_of(receiver) == "unconfirmed"
        _send_one(receiver)
        _send_one(receiver)
        assert [bool(one) for one in got] == [True, False, True, True]
        assert len({one for one in got if one}) == 1


def test_our_end_is_a_close_notify_and_then_that_of_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that ends only with TCP holds nobody up, and one that looks for it finds our close_notify."""
    monkeypatch.setattr(rfc5425, "STALL_SECONDS", 1.0)
    found: list[str] = []

    def behave(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        connection.suppress_ragged_eofs = False  # an end without close_notify raises then
        _read_all(connection)
        found.append("close_notify")
        with socket.socket(fileno=connection.detach()) as bare:
            bare.settimeout(10)
            while bare.recv(65536):
                pass
            found.append("end of TCP")

    with answering(tmp_path, behave) as receiver:
        _send_one(receiver, confirm=False)
        assert _code_of(receiver, confirm=True) == "unconfirmed"
    assert found == ["close_notify", "end of TCP"] * 2


def test_a_receiver_that_reads_all_and_answers_nonsense_does_not_confirm(tmp_path: Path) -> None:
    with answering(tmp_path, _read_and_babble) as receiver:
        assert _code_of(receiver) == "tls"


def test_a_receiver_that_says_goodbye_and_keeps_the_line_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_channel, "LINGER_SECONDS", 0.05)
    with answering(tmp_path, _goodbye_and_stay) as receiver:
        _send_one(receiver)


def test_a_receiver_that_reads_nothing_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc5425, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(tls_channel, "LINGER_SECONDS", 0.2)
    with answering(tmp_path, _stall) as receiver:
        assert _code_of(receiver) == "timeout"
        with pytest.raises(ThirdPartyGenericError) as raised:
            send(receiver.block(), support.formatted(Api.AUDIT) * 20)
        assert raised.value.code == "timeout"


def test_a_receiver_without_tls(tmp_path: Path) -> None:
    with answering(tmp_path, _no_tls, tls=False) as receiver:
        assert _code_of(receiver) == "tls"


def test_a_receiver_that_does_not_listen_is_a_connect_error(rsyslog: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(ThirdPartyGenericError, match="refused the connection") as raised:
        block_for(rsyslog, port=port).get_sender().check()
    assert raised.value.code == "connect"


def test_no_such_name(rsyslog: Daemon) -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        block_for(rsyslog, host="syslog.invalid").get_sender().check()
    assert raised.value.code == "dns"


def test_nothing_that_was_confirmed_is_lost_when_rsyslog_is_killed(tmp_path: Path) -> None:
    with running(Rsyslog(tmp_path)) as rsyslog:
        sent = [one for api in Api for one in support.formatted(api)]
        sender = block_for(rsyslog).get_sender()
        parts = [sent[at : at + 40] for at in range(0, len(sent), 40)]
        broken = 0
        for round_ in range(3):
            confirmed = _until_killed(rsyslog, sender, parts, round_ * 7)
            broken += len(confirmed) < len(parts)
            kept = b"\n".join(rsyslog.lines())
            assert all(one.document in kept for part in confirmed for one in part)
            rsyslog.start()
        for part in parts:
            support.send_all(sender, part)
        kept = b"\n".join(rsyslog.lines())
        assert broken == 3
        assert all(one.document in kept for one in sent)


def _until_killed(
    rsyslog: Daemon, sender: SyslogSender, parts: list[list[FormattedEvent]], after: int
) -> list[list[FormattedEvent]]:
    """Kill the daemon once `after` parts were confirmed, while the next ones are on their way."""
    confirmed: list[list[FormattedEvent]] = []

    def go_on() -> None:
        with contextlib.suppress(ThirdPartyGenericError):
            for part in parts:
                support.send_all(sender, part)
                confirmed.append(part)

    rsyslog.forget()
    thread = threading.Thread(target=go_on)
    thread.start()
    wait_until(lambda: len(confirmed) >= after)
    rsyslog.kill()
    thread.join()
    return confirmed


# The block


def test_a_key_goes_with_its_certificate() -> None:
    other = real_syslog.pem_of(certificates.OTHER_KEY)
    locked = certificates.SERVER_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    assert _paths_of(client_certificate=OURS) == {"block.client_key"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(other)) == {"block.client_key"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(locked.decode())) == {"block.client_key"}
    assert _paths_of(client_certificate="none", client_key=SecretStr(KEY)) == {"block.client_certificate"}
    assert _paths_of(client_certificate=OURS, client_key=SecretStr(KEY)) == set()


@pytest.mark.parametrize("host", ["syslog.example.com", "192.0.2.7", "2001:db8::7", "siem_1"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert _paths_of(host=host) == set()


@pytest.mark.parametrize("host", ["", "https://x", "x:6514", "a b", "x/y", "-x", "[::1]", "x\n"])
def test_anything_else_is_no_host(host: str) -> None:
    assert _paths_of(host=host) == {"block.host"}


@pytest.mark.parametrize("sd_id", ["meta", "a b@1", "@1", "a@", "a@b", 'a"@1', "x" * 31 + "@1", "a@1\n"])
def test_an_sd_id_has_the_number_of_an_enterprise(sd_id: str) -> None:
    assert _paths_of(sd_id=sd_id) == {"block.sd_id"}


def test_without_a_host_name_it_is_that_of_the_machine(rsyslog: Daemon) -> None:
    send(block_for(rsyslog, hostname=""), [_formatted(category="success")])
    assert [message.hostname for message in rsyslog.messages()] == [socket.gethostname()]


def test_an_address_is_checked_against_the_certificate_too(rsyslog: Daemon) -> None:
    assert block_for(rsyslog, host="127.0.0.1").get_sender().check().startswith("127.0.0.1 accepts syslog over TLSv1.")


def _paths_of(**members: object) -> set[str]:
    try:
        Syslog.model_validate({"host": "localhost", **members}).ensure_valid()
    except ConfigurationError as error:
        return {problem.path for problem in error.problems}
    return set()


# Receivers that misbehave


class Misbehaving:
    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self._port = directory, port
        self.over = threading.Event()

    def block(self, **members: object) -> Syslog:
        authority = (self._directory / "authority.pem").read_text()
        return Syslog.model_validate({"host": "localhost", "port": self._port, "ca_certificate": authority, **members})


@contextlib.contextmanager
def answering(
    directory: Path, behave: Callable[[ssl.SSLSocket, threading.Event], None], *, tls: bool = True
) -> Iterator[Misbehaving]:
    certificates.write_authority(directory / "authority.pem")
    context = certificates.server_context(directory, certificates.certificate(certificates.HERE))
    with socket.create_server(("127.0.0.1", 0)) as door:
        receiver = Misbehaving(directory, door.getsockname()[1])

        def serve() -> None:
            while True:
                connection, _ = door.accept()
                with connection, contextlib.suppress(OSError):
                    if receiver.over.is_set():
                        return
                    connection.settimeout(10)
                    with context.wrap_socket(connection, server_side=True) if tls else connection as wrapped:
                        behave(wrapped, receiver.over)  # type: ignore[arg-type]

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.over.set()
            socket.create_connection(door.getsockname()).close()
            thread.join()


def _reset(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _goodbye_unread(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.recv(1)
    connection.settimeout(0)
    connection.unwrap()  # its close_notify goes out, and the rest stays unread


def _read_all(connection: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def _read_and_die(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    while connection.recv(65536):
        pass


def _read_and_babble(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    raw = connection.detach()
    with socket.socket(fileno=raw) as bare:
        bare.settimeout(10)
        bare.recv(65536)
        bare.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        while bare.recv(65536):
            pass


def _goodbye_and_stay(connection: ssl.SSLSocket, over: threading.Event) -> None:
    while connection.recv(65536):
        pass
    connection.unwrap()
    over.wait(10)


def _stall(_connection: ssl.SSLSocket, over: threading.Event) -> None:
    over.wait(5)  # long after the sender has given up


def _no_tls(connection: socket.socket, _over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"220 mail.example ESMTP\r\n")


def _send_one(receiver: Misbehaving, **members: object) -> None:
    send(receiver.block(**members), [_formatted(category="success")])


def _code_of(receiver: Misbehaving, **members: object) -> str:
    with pytest.raises(SourceError) as raised:
        _send_one(receiver, **members)
    assert isinstance(raised.value, ThirdPartyGenericError)
    return raised.value.code


def send(block: Syslog, sent: list[FormattedEvent]) -> None:
    for answer in support.send_all(block.get_sender(), sent):
        assert (answer.rejected, answer.deferred) == ((), ())


def _formatted(**members: object) -> FormattedEvent:
    return registry.format_event("raw", support.event(Api.SIGN_IN, **members), support.stream())
