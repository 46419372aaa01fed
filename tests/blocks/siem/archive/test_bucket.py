"""An archive in a bucket: which key is sent, and which answer is which error."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from support import s3_server
from support.archives import at, block_of, send_one
from support.raw_server import listening
from support.siem_conformance import assert_secret

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.archive import bucket
from blocks.siem.archive.block import Archive
from blocks.siem.delivery.protocol import TooLargeError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from support.s3_server import S3Server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.mark.parametrize(
    ("members", "code", "hint"),
    [
        ({"secret_key": "WRONG-SECRET-KEY"}, "403", "credentials"),
        ({"access_key_id": "UNKNOWN-KEY"}, "403", "credentials"),
        ({"url": "s3://nobucket/x"}, "404", "Create the bucket"),
    ],
)
def test_wrong_credentials_and_a_missing_bucket_are_configuration_errors(
    s3: S3Server, members: dict[str, str], code: str, hint: str
) -> None:
    block = block_of(s3, "x", **members)
    for ask in (block.get_sender().check, lambda: send_one(block)):
        with pytest.raises(ThirdPartyConfigError, match=hint) as raised:
            ask()
        assert raised.value.code == code
        assert_secret(("WRONG-SECRET-KEY", s3_server.SECRET), str(raised.value), repr(raised.value.__dict__))
        assert raised.value.__cause__ is None


def test_an_endpoint_without_a_listener_is_not_reached() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # without `listen`: every connection is refused
        with pytest.raises(ThirdPartyGenericError) as raised:
            send_one(at(f"http://127.0.0.1:{reserved.getsockname()[1]}"))
    assert raised.value.code == "connect"


def test_an_endpoint_without_an_address_is_not_reached() -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        send_one(at("https://nothing.invalid"))
    assert raised.value.code == "dns"


def saying(status: str, body: str = "") -> Callable[[socket.socket, threading.Event], None]:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda connection, _: _answer(connection, f"{head}{body}".encode())


def _answer(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)  # or the client would keep the connection for a next request


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        ("503 Slow Down", "SlowDown", ThirdPartyGenericError),
        ("429 Too Many", "", ThirdPartyGenericError),
        ("500 Error", "InternalError", ThirdPartyGenericError),
        ("400 Bad", "RequestTimeout", ThirdPartyGenericError),
        ("409 Conflict", "OperationAborted", ThirdPartyGenericError),
        ("400 Bad", "InvalidArgument", ThirdPartyConfigError),
        ("401 No", "", ThirdPartyConfigError),
        ("403 No", "AccessDenied", ThirdPartyConfigError),
        ("301 Moved", "", ThirdPartyConfigError),
        ("413 Too Large", "", TooLargeError),
        ("400 Bad", "EntityTooLarge", TooLargeError),
    ],
)
def test_each_answer_is_one_error_after_one_request(status: str, name: str, kind: type[Exception]) -> None:
    body = f"<Error><Code>{name}</Code><Message>SECRET-KEY-0123</Message></Error>" if name else ""
    with listening(saying(status, body)) as server, pytest.raises(kind) as raised:
        send_one(at(server.url))
    assert len(server.requests) == 1
    assert type(raised.value) is kind
    assert name in str(raised.value)
    assert "SECRET-KEY-0123" not in str(raised.value)


def test_a_redirect_is_not_followed() -> None:
    with listening(saying("200 OK")) as elsewhere:

        def redirect(connection: socket.socket, _: threading.Event) -> None:
            _answer(connection, f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}/x\r\nContent-Length: 0\r\n\r\n".encode())

        with listening(redirect) as server, pytest.raises(ThirdPartyConfigError):
            send_one(at(server.url))
        assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""])
def test_what_is_no_object_store_has_kept_nothing(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(bucket, "REQUEST_TIMEOUT", bucket.timedelta(seconds=0.2))

    def say(connection: socket.socket, over: threading.Event) -> None:
        over.wait(1) if not answer else _answer(connection, answer)

    with listening(say) as server, pytest.raises(ThirdPartyGenericError) as raised:
        send_one(at(server.url))
    assert raised.value.code == ("invalid-answer" if answer else "timeout")


OK = b'HTTP/1.1 200 OK\r\nConnection: close\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n'


def keeps(connection: socket.socket, _: threading.Event) -> None:
    _answer(connection, OK)


def test_the_key_that_is_set_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN-OF-THE-ENVIRONMENT")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with listening(keeps) as server:
        send_one(at(server.url))
    assert b"Credential=ID/" in server.requests[0]
    assert b"TOKEN-OF-THE-ENVIRONMENT" not in server.requests[0]
    assert b"SECRET-KEY-0123" not in server.requests[0]


def test_without_a_key_that_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "ENV-ID"), ("SECRET_ACCESS_KEY", "x"), ("SESSION_TOKEN", "ENV-TOKEN")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with listening(keeps) as server:
        send_one(Archive(url="s3://archive", endpoint=server.url))
    assert b"Credential=ENV-ID/" in server.requests[0]
    assert b"ENV-TOKEN" in server.requests[0]


@pytest.mark.parametrize(
    ("key", "sent"),
    [("c2VjcmV0LWtleQ==", b"authorization: SharedKey acc:"), ("?sv=2026&sig=abc%3D", b"sig=abc%3D")],
)
def test_azure_gets_its_key_or_its_sas(monkeypatch: pytest.MonkeyPatch, key: str, sent: bytes) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of the environment")
    with listening(keeps) as server:
        send_one(Archive(url="az://box/pre", endpoint=f"{server.url}/acc", account="acc", secret_key=key))
    head = server.requests[0].lower()
    assert server.requests[0].startswith(b"PUT /acc/box/pre/source")
    assert sent.lower() in head
    assert b"c2vjcmv0" not in head


def test_google_gets_a_service_account() -> None:
    key = {"client_email": "a@example.org", "private_key": "", "private_key_id": "", "disable_oauth": True}
    with listening(keeps) as server:
        send_one(Archive(url="gs://box/pre", endpoint=server.url, secret_key=json.dumps(key)))
    assert server.requests[0].startswith(b"PUT /box/pre%2Fsource%3D1Pass%2F")
