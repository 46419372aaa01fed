"""How a receiver ends a session of TLS, and what follows from it for the batch."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from support.syslog_sessions import answering, code_of, read_all, send_one

from blocks.siem.syslog import rfc5425, tls_channel


@pytest.mark.parametrize("confirm", [True, False])
def test_a_receiver_that_breaks_off_does_not_confirm(tmp_path: Path, confirm: bool) -> None:
    with answering(tmp_path, _reset) as receiver:
        assert code_of(receiver, confirm=confirm) in {"reset", "tls"}


@pytest.mark.parametrize("confirm", [True, False])
def test_a_receiver_that_says_goodbye_before_it_has_read_does_not_confirm(tmp_path: Path, confirm: bool) -> None:
    with answering(tmp_path, _goodbye_unread) as receiver:
        assert code_of(receiver, confirm=confirm) == "reset"


def test_a_receiver_that_reads_all_and_dies_does_not_confirm(tmp_path: Path) -> None:
    with answering(tmp_path, _read_and_die) as receiver:
        assert code_of(receiver, confirm=True) == "unconfirmed"
        send_one(receiver, confirm=False)


def test_the_sender_ends_with_close_notify_and_then_closes_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that closes TCP alone does not block the sender; one that waits for close_notify receives it."""
    monkeypatch.setattr(rfc5425, "STALL_SECONDS", 1.0)
    found: list[str] = []

    def behave(connection: ssl.SSLSocket, _over: threading.Event) -> None:
        connection.suppress_ragged_eofs = False  # an end without close_notify raises then
        read_all(connection)
        found.append("close_notify")
        with socket.socket(fileno=connection.detach()) as bare:
            bare.settimeout(10)
            while bare.recv(65536):
                pass
            found.append("end of TCP")

    with answering(tmp_path, behave) as receiver:
        send_one(receiver, confirm=False)
        assert code_of(receiver, confirm=True) == "unconfirmed"
    assert found == ["close_notify", "end of TCP"] * 2


def test_a_receiver_that_reads_all_and_answers_nonsense_does_not_confirm(tmp_path: Path) -> None:
    with answering(tmp_path, _read_and_babble) as receiver:
        assert code_of(receiver) == "tls"


def test_a_receiver_that_says_goodbye_and_keeps_the_line_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_channel, "LINGER_SECONDS", 0.05)
    with answering(tmp_path, _goodbye_and_stay) as receiver:
        send_one(receiver)


def _reset(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _goodbye_unread(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.recv(1)
    connection.settimeout(0)
    connection.unwrap()  # its close_notify goes out, and the rest stays unread


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
