"""Syslog over TLS: events to send, and receivers that violate the protocol."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support import certificates, real_syslog
from support import siems as support

from blocks.errors import SourceError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.formats import registry
from blocks.siem.syslog.block import Syslog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.real_syslog import Daemon

    from blocks.siem.formats.event import FormattedEvent

OURS = certificates.certificate(certificates.HERE).public_bytes(Encoding.PEM).decode()
KEY = real_syslog.pem_of(certificates.SERVER_KEY)


def block_for(daemon: Daemon, **members: object) -> Syslog:
    authority = (daemon.directory / "authority.pem").read_text()
    given = {"host": "localhost", "port": daemon.port, "hostname": "here", "ca_certificate": authority, **members}
    return Syslog.model_validate(given)


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


def read_all(connection: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def send_one(receiver: Misbehaving, **members: object) -> None:
    send(receiver.block(**members), [formatted_sign_in(category="success")])


def code_of(receiver: Misbehaving, **members: object) -> str:
    with pytest.raises(SourceError) as raised:
        send_one(receiver, **members)
    assert isinstance(raised.value, ThirdPartyGenericError)
    return raised.value.code


def send(block: Syslog, sent: list[FormattedEvent]) -> None:
    for answer in support.send_all(block.get_sender(), sent):
        assert (answer.rejected, answer.deferred) == ((), ())


def formatted_sign_in(**members: object) -> FormattedEvent:
    return registry.format_event("raw", support.event(Api.SIGN_IN, **members), support.stream())
