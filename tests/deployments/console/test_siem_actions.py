"""What an operator does with a SIEM: pause, replay, and rejected events."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pytest
from support.console_client import shown_text
from support.forwarding import Pair
from support.siem_pages import FakeActions

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import audit_log
from blocks.store.forwarding import forward_pairs, rejected_events
from deployments import deferred

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient


def test_an_operator_pauses_and_resumes(
    pair: Pair, store: Engine, actions: FakeActions, operator: ConsoleClient
) -> None:
    assert "1 of 1 sources was paused" in shown_text(operator.submit("/siems/soc", action="pause", source="1Pass"))
    assert forward_pairs.require(store, "soc")[0].paused_ns is not None
    operator.submit("/siems/soc", action="resume")
    assert actions.calls == [("set_paused", "soc", "1Pass", True), ("set_paused", "soc", None, False)]
    assert audit_log.newest(store, 1)[0].actor.startswith("Ada (console")


def test_a_replay_is_counted_before_it_is_done(pair: Pair, actions: FakeActions, operator: ConsoleClient) -> None:
    pair.rejects(0)
    page = operator.page("/siems/soc?from=24h")
    assert "6 events received since" in shown_text(page)
    assert "may store both copies" in shown_text(page)
    since = html.unescape(page).split('name="since" value="')[1].split('"')[0]
    assert "6 events are sent again" in operator.submit("/siems/soc", action="replay", source="", since=since)
    assert actions.calls[0][:3] == ("resend_since", "soc", None)
    assert "is not a time" in operator.page("/siems/soc?from=yesterday")


def test_rejected_events_are_chosen_and_sent_again_or_left_out(
    pair: Pair, store: Engine, actions: FakeActions, operator: ConsoleClient
) -> None:
    ids, stream = pair.rejects(0, 1, 2), pair.filled.id_of(Api.AUDIT)
    page = shown_text(operator.page("/siems/soc"))
    assert "400 no 1" in page
    assert "audit-000001" in page
    first, second = (f"event {pair.record.id} {stream} {id_}" for id_ in ids[:2])
    assert "1 event is sent again" in operator.submit("/siems/soc", action="resend", **{first: "on"})
    assert actions.calls == [("resend_rejected", "soc", "1Pass", [(stream, ids[0])])]
    assert "no reason" in operator.submit("/siems/soc", action="discard", **{second: "on"})
    assert "No event is chosen" in operator.submit("/siems/soc", action="discard", reason="a test")
    assert "1 event is left out" in operator.submit("/siems/soc", action="discard", reason="a test", **{second: "on"})
    assert [one.event_id for one in rejected_events.list_page(store, pair.record.id)] == [ids[0], ids[2]]
    assert audit_log.newest(store, 1)[0].details["reason"] == "a test"
    assert "2 events are left out" in operator.submit("/siems/soc", action="discard", reason="all", all="on")


@pytest.mark.parametrize("member", ["event x", "event x y z", "event ' 1 2", "event x 1 99999999999999999999"])
def test_a_forged_choice_changes_nothing(pair: Pair, store: Engine, operator: ConsoleClient, member: str) -> None:
    pair.rejects(0)
    operator.submit("/siems/soc", action="discard", reason="x", **{member: "on"})
    assert len(rejected_events.list_page(store, pair.record.id)) == 1


def test_an_error_of_an_action_is_shown(pair: Pair, operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def set_paused(self, *_: object, **__: object) -> None:
            raise ThirdPartyConfigError("It does not work.", hint="Do something.")

    monkeypatch.setattr(deferred, "siem_actions", Broken(), raising=False)
    text = shown_text(operator.submit("/siems/soc", action="pause"))
    assert "failed It does not work. Do something." in text
