"""Which batches count as sent, and which certificates are accepted: with rsyslog, and receivers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from pydantic import SecretStr
from support import certificates
from support import siems as support
from support.real_syslog import Rsyslog, running
from support.syslog_sessions import (
    KEY,
    OURS,
    answering,
    block_for,
    code_of,
    formatted_sign_in,
    read_all,
    send,
    send_one,
)

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.syslog import rfc5425, tls_channel

if TYPE_CHECKING:
    from support.real_syslog import Daemon


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
            sender.send(support.batch(sender, [formatted_sign_in(category="success").event]))
        assert raised.value.code == "tls"
        assert rsyslog.lines() == []


@pytest.mark.parametrize("auth_mode", ["x509/certvalid", "x509/name"])
def test_a_receiver_that_wants_a_client_certificate(tmp_path: Path, auth_mode: str) -> None:
    with running(Rsyslog(tmp_path, auth_mode=auth_mode)) as rsyslog:
        batch = [formatted_sign_in(category="success")] * 2000
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
    batch = [formatted_sign_in(category="success")] * count
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


def test_rsyslogs_gtls_driver_does_not_confirm(tmp_path: Path) -> None:
    with running(Rsyslog(tmp_path, driver="gtls")) as rsyslog:
        with pytest.raises(ThirdPartyGenericError, match="set confirm to false") as raised:
            block_for(rsyslog).get_sender().check()
        assert raised.value.code == "unconfirmed"
        send(block_for(rsyslog, confirm=False), support.formatted(Api.AUDIT))
        assert len(rsyslog.lines()) == support.DOCUMENTED


def test_a_receiver_that_never_confirms_gets_the_messages_once(tmp_path: Path) -> None:
    """Until it confirms a session without messages, no message is sent to it again, unless you set confirm to false."""
    got: list[bytes] = []
    with answering(tmp_path, lambda connection, _: got.append(read_all(connection))) as receiver:
        for _ in range(5):
            assert code_of(receiver, confirm=True) == "unconfirmed"
        first, *later = got
        assert later == [b""] * 4
        got.clear()
        send_one(receiver, confirm=False)
        assert got == [b"", first]


def test_a_receiver_that_confirms_again_gets_the_messages_again(tmp_path: Path) -> None:
    got: list[bytes] = []

    def behave(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        got.append(read_all(connection))
        if len(got) > 1:
            connection.unwrap()

    with answering(tmp_path, behave) as receiver:
        assert code_of(receiver) == "unconfirmed"
        send_one(receiver)
        send_one(receiver)
        assert [bool(one) for one in got] == [True, False, True, True]
        assert len({one for one in got if one}) == 1


def test_a_receiver_that_reads_nothing_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc5425, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(tls_channel, "LINGER_SECONDS", 0.2)
    with answering(tmp_path, _stall) as receiver:
        assert code_of(receiver) == "timeout"
        with pytest.raises(ThirdPartyGenericError) as raised:
            send(receiver.block(), support.formatted(Api.AUDIT) * 20)
        assert raised.value.code == "timeout"


def test_a_receiver_without_tls(tmp_path: Path) -> None:
    with answering(tmp_path, _no_tls, tls=False) as receiver:
        assert code_of(receiver) == "tls"


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


def test_an_address_is_checked_against_the_certificate_too(rsyslog: Daemon) -> None:
    assert block_for(rsyslog, host="127.0.0.1").get_sender().check().startswith("127.0.0.1 accepts syslog over TLSv1.")


def _stall(_connection: ssl.SSLSocket, over: threading.Event) -> None:
    over.wait(5)  # long after the sender has given up


def _no_tls(connection: socket.socket, _over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"220 mail.example ESMTP\r\n")
