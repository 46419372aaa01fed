"""Each outcome of a request to a SIEM is one error, and gzip is the same bytes for the same content."""

from __future__ import annotations

import gzip
import pickle
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from receivers.lines import Lines
from receivers.server import Receiver, receiving

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.http import SiemHttpClient, gzip_bytes, gzip_parts, is_html, unexpected_response
from blocks.siem.delivery.protocol import RequestRejectedError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a-secret-of-the-test"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Lines()) as running:
        yield running


@pytest.fixture
def client(receiver: Receiver) -> Iterator[SiemHttpClient]:
    with closing(SiemHttpClient("Test SIEM", receiver.url, {"X-Key": SECRET}, secrets=(SECRET,))) as made:
        yield made


def test_a_post_is_compressed_and_returns_the_response(receiver: Receiver, client: SiemHttpClient) -> None:
    assert client.post("path", b'{"uuid":"A"}').status_code == 200
    (request,) = receiver.requests
    assert (request.path, request.body, request.headers["content-encoding"]) == ("/path", b'{"uuid":"A"}', "gzip")


def test_a_checked_request_is_not_compressed(receiver: Receiver, client: SiemHttpClient) -> None:
    client.checked_request("POST", "", b'{"uuid":"A"}')
    assert "content-encoding" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    ("status", "with_events", "without"),
    [
        (400, RequestRejectedError, ThirdPartyConfigError),
        (422, RequestRejectedError, ThirdPartyConfigError),
        (413, TooLargeError, ThirdPartyConfigError),
        (401, ThirdPartyConfigError, ThirdPartyConfigError),
        (302, ThirdPartyConfigError, ThirdPartyConfigError),
        (429, ThirdPartyGenericError, ThirdPartyGenericError),
        (503, ThirdPartyGenericError, ThirdPartyGenericError),
    ],
)
def test_a_status_is_one_error_with_events_and_another_without(
    receiver: Receiver, client: SiemHttpClient, status: int, with_events: type[Exception], without: type[Exception]
) -> None:
    receiver.behave("answer", None, status=status, echo=True)
    for error_type, events in ((with_events, True), (without, False)):
        with pytest.raises(error_type) as raised:
            client.post("", b"{}", with_events=events)
        assert type(raised.value) is error_type
        assert SECRET not in str(raised.value)


def test_a_response_of_any_status_is_returned_by_request(receiver: Receiver, client: SiemHttpClient) -> None:
    receiver.behave("answer", status=404)
    assert client.request("GET", "x").status_code == 404


def test_a_page_is_recognized_by_its_type_or_its_first_character(receiver: Receiver, client: SiemHttpClient) -> None:
    receiver.behave("answer", body=" <html>")
    assert is_html(client.request("GET", ""))
    receiver.behave("answer", body="x", headers={"Content-Type": "text/html; charset=utf-8"})
    assert is_html(client.request("GET", ""))
    receiver.behave("answer", body='{"a":"<"}')
    assert not is_html(client.request("GET", ""))


def test_an_unexpected_response_names_the_siem_and_counts_as_nothing_sent() -> None:
    error = unexpected_response("Test SIEM")
    assert "Test SIEM" in error.message
    assert "Nothing counts as sent" in (error.hint or "")


def test_a_client_is_not_pickled_and_shows_no_secret(client: SiemHttpClient) -> None:
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(client)
    assert SECRET not in repr(client)


def test_gzip_is_the_same_for_the_same_content_and_for_its_parts() -> None:
    content = b"x" * 100_000
    assert gzip_bytes(content) == gzip_bytes(content)
    assert gzip.decompress(gzip_bytes(content)) == content
    assert gzip.decompress(gzip_parts(content[index : index + 999] for index in range(0, len(content), 999))) == content
