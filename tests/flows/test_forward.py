"""The flow against a real Prefect server and a receiver: states, errors, the 90 minutes, what a person changes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from receivers.server import Receiver, receiving
from receivers.sumo_logic import PATH, SumoLogic
from support.flow_runs import QuickClock, Source, history, outcome, query_store
from support.moving_clock import MovingClock

from blocks import clock
from blocks.events_api.models import Api
from blocks.prefect_names import block_name
from blocks.siem.archive.block import Archive
from blocks.siem.sumo_logic.block import SumoLogicSiem
from blocks.store import fields
from blocks.store.forwarding import forward_pairs, replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State
    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.store.forwarding.records import ForwardPair

pytestmark = pytest.mark.prefect

SENT = ["Started", "Forwarding", "Completed"]
EVERY = {"team": "blue", "region": "eu", "_siemForward": True}


@dataclass
class Sending:
    """A source with collected events, and a SIEM that they are forwarded to."""

    source: Source
    receiver: Receiver
    siem: str

    def save(self, block: SiemBlock | None = None, **members: Any) -> None:
        block = block or SumoLogicSiem(url=SecretStr(self.receiver.url + PATH), **members)
        block.save(block_name(self.siem), overwrite=True)
        with self.engine() as engine:
            forward_pairs.save(
                engine, self.source_id, self.siem, block.kind, block.public_settings(), block.fingerprint()
            )

    def forward(self) -> State[Any]:
        from flows.forward import forward

        state: State[Any] = forward(self.source.name, self.siem, return_state=True)
        return state

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        engine = self.source.engine()
        yield engine
        engine.dispose()

    @property
    def source_id(self) -> str:
        return str(query_store(self.source, "SELECT id FROM sources")[0][0])

    @property
    def pair(self) -> ForwardPair:
        with self.engine() as engine:
            found = forward_pairs.find(engine, self.source_id, self.siem)
        assert found
        return found

    def stored(self) -> set[str]:
        return {str(row[0]) for row in query_store(self.source, "SELECT uuid FROM events")}

    def of_request(self) -> str:
        return self.receiver.requests[-1].headers["x-sumo-fields"]


@pytest.fixture
def sending(source: Source) -> Iterator[Sending]:
    source.save(fields=EVERY)
    assert outcome(source.collect()) == "Collected"
    with receiving(SumoLogic()) as receiver:
        made = Sending(source, receiver, f"soc {source.name}"[:50])
        made.save()
        yield made


def test_every_event_is_sent_once_and_a_run_without_anything_new_sends_nothing(sending: Sending) -> None:
    state = sending.forward()
    assert (history(state)[-len(SENT) :], state.is_completed()) == (SENT, True)
    assert set(sending.receiver.arrived()) == sending.stored()
    assert set(sending.receiver.arrived().values()) == {1}
    assert f"{len(sending.stored()):,} events sent to {sending.siem}" in str(state.message)
    requests = sending.receiver.request_count
    assert sending.forward().message == f"Forwarded: 0 events sent to {sending.siem}."
    assert sending.receiver.request_count == requests


def test_what_is_collected_later_is_sent_then(sending: Sending) -> None:
    sending.forward()
    sending.source.sandbox.arrive(Api.AUDIT.path, 7)
    sending.source.collect()
    assert "7 events sent" in str(sending.forward().message)
    assert set(sending.receiver.arrived().values()) == {1}
    assert set(sending.receiver.arrived()) == sending.stored()


def test_a_field_that_is_not_enabled_is_not_sent(sending: Sending) -> None:
    with sending.engine() as engine:
        fields.create(engine, ["team", "region"])
        fields.set_enabled(engine, ["region"], enabled=False)
    sending.forward()
    assert "team=blue" in sending.of_request()
    assert "region" not in sending.of_request()


def test_events_that_are_not_meant_for_a_siem_go_to_archives_alone(sending: Sending, tmp_path: Path) -> None:
    sending.source.save(fields={**EVERY, "_siemForward": False})
    sending.source.collect()
    state = sending.forward()
    assert (outcome(state), state.is_completed()) == ("Skipped", True)
    assert "_siemForward" in str(state.message)
    assert sending.receiver.request_count == 0
    (tmp_path / "archive").mkdir()
    sending.siem = f"a{sending.siem}"[:50]
    sending.save(Archive(url=f"file://{tmp_path / 'archive'}"))
    assert outcome(sending.forward()) == "Forwarded"


def test_a_pause_sends_nothing(sending: Sending) -> None:
    with sending.engine() as engine:
        forward_pairs.set_paused(engine, sending.pair, paused=True)
    assert outcome(sending.forward()) == "Skipped"
    assert sending.receiver.request_count == 0
    with sending.engine() as engine:
        forward_pairs.set_paused(engine, sending.pair, paused=False)
    assert outcome(sending.forward()) == "Forwarded"


def test_a_pair_that_was_removed_is_not_brought_back_by_a_late_run(sending: Sending) -> None:
    with sending.engine() as engine:
        forward_pairs.remove(engine, sending.pair)
    state = sending.forward()
    assert (outcome(state), state.is_failed()) == ("ThirdPartyConfigError", True)
    assert sending.receiver.request_count == 0
    assert query_store(sending.source, "SELECT count(*) FROM pairs") == [(0,)]


def test_a_temporary_error_is_retried_and_all_events_are_forwarded(sending: Sending, quick: QuickClock) -> None:
    sending.receiver.behave("answer", 4, status=503)
    sending.receiver.behave("answer", 1, status=429, headers={"Retry-After": "77"})
    assert outcome(sending.forward()) == "Forwarded"
    assert set(sending.receiver.arrived()) == sending.stored()
    assert max(quick.waits) >= 77


def test_90_minutes_and_then_it_stops_until_it_is_resumed(sending: Sending, quick: QuickClock) -> None:
    """Also across runs: the time of the first failure is in the store. One health event for all APIs."""
    sending.receiver.behave("answer", None, status=503)
    started = quick.now_ns()
    state = sending.forward()
    assert (outcome(state), state.is_failed()) == ("ThirdPartyGenericError", True)
    assert 90 * 60 <= (quick.now_ns() - started) / 1e9 < 3 * 100 * 60
    tracker = f"forward/{sending.siem}"
    assert [row[:2] for row in _health_events(sending, tracker)] == [
        ("ThirdPartyGenericError", "Warning"),
        ("ThirdPartyGenericError", "Error"),
    ]
    requests = sending.receiver.request_count
    assert "`onepassword-source siem resume " in str(sending.forward().message)
    assert sending.receiver.request_count == requests, "no request is made until then"
    sending.receiver.clear()
    with sending.engine() as engine:
        forward_pairs.set_paused(engine, sending.pair, paused=False)
    assert outcome(sending.forward()) == "Forwarded"
    assert set(sending.receiver.arrived()) == sending.stored()
    assert [row[0] for row in _health_events(sending, tracker)][2:] == ["Recovered"]


def _health_events(sending: Sending, tracker: str) -> list[tuple[Any, ...]]:
    return query_store(
        sending.source, f"SELECT name, severity FROM health_events WHERE tracker = '{tracker}' ORDER BY id"
    )


def test_a_refused_key_stops_it_until_its_configuration_changes(sending: Sending, quick: QuickClock) -> None:
    sending.save(SumoLogicSiem(url=SecretStr(f"{sending.receiver.url}/receiver/v1/http/another")))
    state = sending.forward()
    assert (outcome(state), state.is_failed()) == ("ThirdPartyConfigError", True)
    assert quick.waits == []
    requests = sending.receiver.request_count
    assert outcome(sending.forward()) == "ThirdPartyConfigError"
    assert sending.receiver.request_count == requests
    SumoLogicSiem(url=SecretStr(sending.receiver.url + PATH)).save(block_name(sending.siem), overwrite=True)
    assert outcome(sending.forward()) == "Forwarded", "a block changed in the UI needs no resume"
    assert set(sending.receiver.arrived()) == sending.stored()
    assert [row[0] for row in _health_events(sending, f"forward/{sending.siem}")] == [
        "ThirdPartyConfigError",
        "Recovered",
    ]


def test_rejected_events_are_sent_again_on_request(sending: Sending) -> None:
    sending.receiver.behave("too-large", None, bytes=10)
    assert "rejected by it" in str(sending.forward().message)
    assert sending.receiver.arrived() == {}
    sending.receiver.clear()
    with sending.engine() as engine:
        assert replay.resend_rejected(engine, sending.pair) == len(sending.stored())
    assert outcome(sending.forward()) == "Forwarded"
    assert set(sending.receiver.arrived()) == sending.stored()
    assert [row[0] for row in _health_events(sending, f"rejected/{sending.siem}")] == ["EventsRejected", "Recovered"]


def test_a_run_beside_one_that_waits_says_so_and_sends_nothing(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    moved = MovingClock(time.time_ns())
    monkeypatch.setattr(clock, "clock", moved)
    sending.receiver.behave("answer", 3, status=503)
    states: list[State[Any]] = []
    first = threading.Thread(target=lambda: states.append(sending.forward()))
    first.start()
    moved.wait_for_sleepers(len(Api))
    requests = sending.receiver.request_count
    second = sending.forward()
    assert (outcome(second), second.is_completed()) == ("Retrying", True)
    assert sending.receiver.request_count == requests
    while first.is_alive():
        moved.advance(300)
        first.join(0.05)
    assert outcome(states[0]) == "Forwarded"
    assert set(sending.receiver.arrived().values()) == {1}
    assert set(sending.receiver.arrived()) == sending.stored()
