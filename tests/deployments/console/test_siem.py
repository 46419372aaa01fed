"""The pages of SIEMs: their pairs, a test, a replay, and rejected events."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pytest
from support.console_client import shown_text
from support.forwarding import Pair
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import audit_log
from blocks.store.forwarding import forward_pairs, rejected_events, replay
from deployments import deferred
from deployments.siem_test import Sample, SiemTest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m=cmd()'


@pytest.fixture
def pair(store: Engine) -> Pair:
    made = Pair.create(store)
    made.filled.commit(Api.AUDIT, 6)
    return made


class FakeActions:
    """`deployments.siem_actions` without Prefect: what it would change in the store, and which calls it got."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.calls: list[tuple[Any, ...]] = []

    def set_paused(self, name: str, source: str | None = None, *, paused: bool) -> list[Any]:
        self.calls.append(("set_paused", name, source, paused))
        pairs = forward_pairs.require(self.engine, name, source)
        return [(one, forward_pairs.set_paused(self.engine, one, paused=paused)) for one in pairs]

    def resend_since(self, name: str, source: str | None, since_ns: int) -> list[Any]:
        self.calls.append(("resend_since", name, source, since_ns))
        return [
            (one, replay.resend_since(self.engine, one, since_ns))
            for one in forward_pairs.require(self.engine, name, source)
        ]

    def resend_rejected(self, name: str, source: str | None, only: Any = None) -> list[Any]:
        self.calls.append(("resend_rejected", name, source, only))
        return [
            (one, replay.resend_rejected(self.engine, one, only))
            for one in forward_pairs.require(self.engine, name, source)
        ]


@pytest.fixture
def actions(store: Engine, monkeypatch: pytest.MonkeyPatch) -> FakeActions:
    fake = FakeActions(store)
    monkeypatch.setattr(deferred, "siem_actions", fake, raising=False)
    return fake


def test_without_a_siem_the_page_says_how_to_add_one(viewer: ConsoleClient) -> None:
    assert "onepassword-source siem add" in shown_text(viewer.page("/siems"))


def test_a_pair_is_a_row_with_its_counts(pair: Pair, viewer: ConsoleClient) -> None:
    pair.rejects(0, 1)
    page = shown_text(viewer.page("/siems"))
    assert "soc webhook 1Pass" in page
    assert "ok 4 0 2 0" in page
    assert "No SIEM matches" in viewer.page("/siems?q=other")
    assert "soc" in viewer.page("/siems?q=WEBhook+1pass&state=ok")


def test_a_name_with_a_slash_has_a_page(pair: Pair, store: Engine, viewer: ConsoleClient) -> None:
    forward_pairs.save(store, SOURCE.id, "soc/eu", "webhook", {}, "")
    assert "/console/siems/soc%2Feu" in viewer.page("/siems")
    assert "<h1>soc/eu" in viewer.page("/siems/soc%2Feu")
    viewer.page("/siems/unknown", status=404)


def test_an_operator_pauses_and_resumes(
    pair: Pair, store: Engine, actions: FakeActions, operator: ConsoleClient
) -> None:
    assert "1 of 1 sources was paused" in shown_text(operator.submit("/siems/soc", action="pause", source="1Pass"))
    assert forward_pairs.require(store, "soc")[0].paused_ns is not None
    operator.submit("/siems/soc", action="resume")
    assert actions.calls == [("set_paused", "soc", "1Pass", True), ("set_paused", "soc", None, False)]
    assert audit_log.newest(store, 1)[0].actor.startswith("Ada (console")


def test_a_viewer_sees_no_button_and_may_do_nothing(pair: Pair, actions: FakeActions, viewer: ConsoleClient) -> None:
    pair.rejects(0)
    assert '<form class="who"' in viewer.page("/siems/soc")
    assert 'name="action"' not in viewer.page("/siems/soc")
    assert viewer.post_form("/siems/soc", action="pause").status_code == 403
    assert actions.calls == []


def test_a_test_shows_what_would_be_sent_and_which_members_are_redacted(
    pair: Pair, operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = (
        Sample("1Pass", "audit", "U1", False, '{"a":"***"}', ("events",), ("user.email",)),
        Sample("1Pass", "audit", "U2", True, HOSTILE),
        Sample("1Pass", "audit", "U3", False, filtered_by=f"Rule 1 drops it: {HOSTILE}"),
    )
    fake = _FakeSamples(SiemTest("soc", samples, "It accepts events.", True))
    monkeypatch.setattr(deferred, "siem_samples", fake, raising=False)
    page = operator.submit("/siems/soc", action="test", number="2", source="", offline="on")
    text = shown_text(page)
    assert fake.calls == [("soc", None, 2, True)]
    assert "accepted It accepts events." in text
    assert "redacted: user.email" in text
    assert 'record {"a":"***"}' in text
    assert "withheld" in text
    assert "filtered Rule 1 drops it" in text
    _require_harmless(page)


def test_a_test_that_fails_says_so(pair: Pair, operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = _FakeSamples(SiemTest("soc", (), "401: the token is wrong", False))
    monkeypatch.setattr(deferred, "siem_samples", fake, raising=False)
    text = shown_text(operator.submit("/siems/soc", action="test"))
    assert "failed 401: the token is wrong" in text
    assert "No event was sent." in text
    assert "1 to 20" in operator.submit("/siems/soc", action="test", number="21")


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


def test_what_the_siem_answers_is_harmless(pair: Pair, store: Engine, viewer: ConsoleClient) -> None:
    pair.rejects(0)
    pair.filled.change("UPDATE rejected_events SET answer = '<script>alert(1)</script>', code = '<b>'")
    page = viewer.page("/siems/soc")
    assert "<script>alert" not in page
    assert "<b>" not in page


class _FakeSamples:
    def __init__(self, found: SiemTest) -> None:
        self.found = found
        self.calls: list[tuple[Any, ...]] = []

    def try_siem(self, name: str, source: str | None, number: int, *, offline: bool) -> SiemTest:
        self.calls.append((name, source, number, offline))
        return self.found


def _require_harmless(page: str) -> None:
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_an_error_of_an_action_is_shown(pair: Pair, operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def set_paused(self, *_: object, **__: object) -> None:
            raise ThirdPartyConfigError("It does not work.", hint="Do something.")

    monkeypatch.setattr(deferred, "siem_actions", Broken(), raising=False)
    text = shown_text(operator.submit("/siems/soc", action="pause"))
    assert "failed It does not work. Do something." in text
