"""The dead-man's switch, with a real server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.one_machine import wait_until
from support.raw_server import listening

from blocks.errors import ThirdPartyConfigError
from deployments.one_machine.dead_mans_switch import DeadMansSwitch
from deployments.up_health import UpHealth

if TYPE_CHECKING:
    import socket
    import threading

WELL = UpHealth(time=0, healthy=True, troubles=(), started=0)
SECRET = "/ping/8a6f2c1e-secret"


def answering(head: str, body: bytes = b"") -> object:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head.encode() + b"\r\n\r\n")
        while body and not over.is_set():
            connection.sendall(body)

    return answer


class Beats:
    """A switch whose clock the test moves."""

    def __init__(self, url: str) -> None:
        self.now = 100.0
        self.switch = DeadMansSwitch(url + SECRET, steady=lambda: self.now)

    def beat(self, *, good: bool = True, after: float = 60) -> list[str]:
        """What it says of the request before; then one more round, with its request ended."""
        self.now += after
        lines = self.switch.after_round(WELL, all_good=good)
        wait_until(lambda: not self.switch._request.is_running)
        return lines


def test_it_is_requested_once_a_minute_while_all_is_well() -> None:
    with listening(answering("HTTP/1.1 200 OK")) as server:  # type: ignore[arg-type]
        beats = Beats(server.url)
        assert [beats.beat(after=15) for _ in range(8)] == [[]] * 8
        assert len(server.requests) == 2
        assert server.requests[0].startswith(f"GET {SECRET} HTTP/1.1\r\n".encode())
        beats.beat(good=False)
        beats.beat(good=False)
        assert len(server.requests) == 2
        beats.beat()
        assert len(server.requests) == 3


def test_an_answer_without_end_is_not_read_and_a_redirect_not_followed() -> None:
    with listening(answering("HTTP/1.1 200 OK", b"x" * 4096)) as server:  # type: ignore[arg-type]
        beats = Beats(server.url)
        assert [beats.beat(), beats.beat()] == [[], []]
    with (
        listening(answering("HTTP/1.1 200 OK")) as other,  # type: ignore[arg-type]
        listening(answering(f"HTTP/1.1 302 Found\r\nLocation: {other.url}")) as server,  # type: ignore[arg-type]
    ):
        beats = Beats(server.url)
        beats.beat()
        (line,) = beats.beat()
        assert line.startswith("The request to the heartbeat URL failed (status 302).")
        assert other.requests == []


def test_a_failure_is_said_once_and_when_it_is_over_and_never_the_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with listening(answering("HTTP/1.1 200 OK")) as server:  # type: ignore[arg-type]
        url = server.url
        beats = Beats(url)
        beats.beat()
    beats.beat()
    (line,) = [line for _ in range(3) for line in beats.beat()]
    assert line == (
        "The request to the heartbeat URL failed (connect). Your monitoring may raise an alarm; collecting continues."
    )
    assert "8a6f2c1e" not in caplog.text


def test_over() -> None:
    with listening(answering("HTTP/1.1 500 No")) as server:  # type: ignore[arg-type]
        beats = Beats(server.url)
        beats.beat()
        assert len(beats.beat()) == 1
        beats.switch._url = "http://127.0.0.1:1/unreachable"
        assert beats.beat() == []
    with listening(answering("HTTP/1.1 204 No Content")) as server:  # type: ignore[arg-type]
        beats.switch._url = server.url
        assert beats.beat() == []
        assert beats.beat() == ["Requests to the heartbeat URL succeed again."]


def test_the_setting_goes_from_the_environment() -> None:
    name = "ONEPASSWORD_SOURCE_HEARTBEAT_URL"
    environment = {name: "https://hc.example/uuid", "OTHER": "stays"}
    assert DeadMansSwitch.from_environment(environment) is not None
    assert environment == {"OTHER": "stays"}
    assert DeadMansSwitch.from_environment({}) is None


@pytest.mark.parametrize(
    "url", ["hc.example/secret", "ftp://hc.example/secret", "https:///secret", "https://[x/secret"]
)
def test_what_is_no_url_is_an_error_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        DeadMansSwitch.from_environment({"ONEPASSWORD_SOURCE_HEARTBEAT_URL": url})
    assert "secret" not in str(raised.value)
