"""The quarantine of a source: items as they were received, tried again and discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.chains import Filled
from support.hostile_text import HOSTILE, require_harmless
from support.values import SOURCE

from blocks.store import audit_log, quarantine

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

PAGE = f"/sources/{SOURCE.id}/quarantine"


def test_quarantined_items_are_shown_byte_for_byte(filled: Filled, viewer: ConsoleClient) -> None:
    filled.change("UPDATE quarantine SET body = :body WHERE id = 1", body=f"\N{DIGIT ONE}{HOSTILE}".encode() + b"\xff")
    page = viewer.page(PAGE)
    assert "no uuid" in page
    assert "1&lt;script&gt;" in page
    assert r"\xff" in page
    assert 'name="action"' not in page
    require_harmless(page)


def test_items_are_tried_again_and_discarded(filled: Filled, store: Engine, operator: ConsoleClient) -> None:
    (first, second) = quarantine.list_page(store, SOURCE.id)
    assert "0 stored as events, 0 known already, 1 stay" in operator.submit(
        PAGE, action="retry", **{f"item {first.id}": "on"}
    )
    assert operator.post_form(PAGE, action="retry").status_code == 400
    assert operator.post_form(PAGE, action="discard", **{f"item {first.id}": "on"}).status_code == 400
    assert "1 discarded for good" in operator.submit(
        PAGE, action="discard", reason="a proxy's page", **{f"item {first.id}": "on"}
    )
    assert [one.id for one in quarantine.list_page(store, SOURCE.id)] == [second.id]
    assert audit_log.newest(store, 1)[0].details["reason"] == "a proxy's page"
    assert "1 discarded" in operator.submit(PAGE, action="discard", reason="x", all="on")
    assert "Nothing is in quarantine" in operator.page(PAGE)


def test_viewers_discard_nothing(filled: Filled, store: Engine, viewer: ConsoleClient) -> None:
    assert viewer.post_form(PAGE, action="discard", reason="x", all="on").status_code == 403
    assert quarantine.count(store, SOURCE.id) == 2
