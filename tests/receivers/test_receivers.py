"""The receiver itself: it behaves as a test sets it, and keeps what it accepted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest
from receivers.lines import Lines
from receivers.process import running_receiver
from receivers.server import Receiver, receiving

from blocks.siem.delivery.http import gzip_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO = b'{"uuid":"A"}\n{"metadata":{"uid":"B"},"uuid":""}\n'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Lines()) as running:
        yield running


def post(receiver: Receiver, content: bytes = TWO, **headers: str) -> httpx.Response:
    return httpx.post(
        receiver.url, content=content, headers={n.replace("_", "-"): v for n, v in headers.items()}, trust_env=False
    )


def test_uuids_are_counted_each_time_they_arrive(receiver: Receiver) -> None:
    post(receiver)
    post(receiver, gzip_bytes(TWO), content_encoding="gzip")
    assert receiver.arrived() == Counter(A=2, B=2)
    assert receiver.request_count == 2
    assert receiver.requests[1].body == TWO


def test_a_scripted_answer_is_given_so_many_times_and_accepts_nothing(receiver: Receiver) -> None:
    receiver.behave("answer", 2, status=429, headers={"Retry-After": "7"}, echo=True)
    first = post(receiver, x_secret="hunter2")
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert "hunter2" in first.text
    assert [post(receiver).status_code for _ in range(2)] == [429, 200]
    assert receiver.arrived() == Counter(A=1, B=1)


def test_only_too_large_a_request_gets_413(receiver: Receiver) -> None:
    receiver.behave("too-large", None, bytes=20)
    assert [post(receiver, content).status_code for content in (TWO, b'{"uuid":"A"}')] == [413, 200]


@pytest.mark.parametrize(("kind", "taken"), [("reset", 0), ("drop", 2)])
def test_a_connection_is_reset_before_or_after_the_events_are_accepted(
    receiver: Receiver, kind: str, taken: int
) -> None:
    receiver.behave(kind)  # type: ignore[arg-type]
    with pytest.raises(httpx.NetworkError):
        post(receiver)
    assert receiver.arrived().total() == taken


def test_a_stalling_receiver_never_answers(receiver: Receiver) -> None:
    receiver.behave("stall")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(receiver.url, content=TWO, timeout=0.05, trust_env=False)
    assert receiver.arrived().total() == 0


def test_a_restarted_process_has_the_counts_of_the_killed_one_and_its_port(tmp_path: Path) -> None:
    with running_receiver("lines", tmp_path / "taken") as process:
        url = process.url
        process.behave("drop")
        with pytest.raises(httpx.NetworkError):
            httpx.post(url, content=TWO, trust_env=False)
        process.kill()
        process.start()
        httpx.post(url, content=TWO, trust_env=False)
        assert process.counts() == {"requests": 1, "events": 4, "distinct": 2}
        assert process.arrived() == Counter(A=2, B=2)
