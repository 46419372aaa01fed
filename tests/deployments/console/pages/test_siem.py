"""The page of a SIEM: its pairs, and a test with what would be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.console_client import shown_text
from support.forwarding import Pair
from support.siem_pages import FakeActions
from support.values import SOURCE

from blocks.store.forwarding import forward_pairs
from deployments import deferred
from deployments.siem_test import Sample, SiemTest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m=cmd()'


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
