"""The further pages of a source: quarantine, findings, schema drift, and the export of its configuration."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.chains import Filled
from support.console_client import shown_text
from support.values import SOURCE

from blocks.config.source_file import parse_sources
from blocks.events_api.models import Api
from blocks.store import audit_log, quarantine, sources
from deployments import deferred

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

PAGE = f"/sources/{SOURCE.id}/quarantine"
TOKEN = "the-token"
HOSTILE = "<script>x</script>\u202e\x1b[31m=cmd()"


@pytest.fixture
def filled(store: Engine) -> Filled:
    sources.save(store, SOURCE)
    made = Filled(store)
    made.commit(Api.AUDIT, 2, rejected=2)
    return made


def require_harmless(page: str) -> None:
    assert "<script>x" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


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


def test_unknown_sources_have_no_pages(filled: Filled, operator: ConsoleClient) -> None:
    for path in ("quarantine", "findings", "export.json"):
        operator.page(f"/sources/unknown/{path}", status=404)
    assert operator.post_form("/sources/unknown/quarantine", action="retry", all="on").status_code == 404


def test_findings_show_both_bodies_and_what_is_not_documented(filled: Filled, viewer: ConsoleClient) -> None:
    path = f"/sources/{SOURCE.id}/findings"
    assert shown_text(viewer.page(path)).count("none") >= 3
    filled.commit(Api.AUDIT, 0, known=2)
    filled.change(
        "INSERT INTO late_or_missed (stream_id, uuid, time_ns, found_ns, fence, verdict, decided_ns) "
        "VALUES ({audit}, :hostile, 1, 2, 0, 'missed', 3), ({audit}, 'U2', 1, 1, 0, NULL, NULL)",
        hostile=HOSTILE,
    )
    filled.change(
        "INSERT INTO undocumented_values (stream_id, kind, path, value, seen_ns) VALUES "
        "({audit}, 'value', 'action', :hostile, 1), ({audit}, 'quarantine', 'no uuid 2', '', 1)",
        hostile=HOSTILE,
    )
    page = viewer.page(path)
    text = shown_text(page)
    assert "missed" in text
    assert "U2 1970-01-01 00:00:00 not decided yet" in text
    assert "As it was stored" in text
    assert "éagain" in text
    assert "value action" in text
    assert "no uuid 2" not in text
    require_harmless(page)


def test_the_export_is_what_the_command_writes_without_the_token(
    filled: Filled, store: Engine, operator: ConsoleClient, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {"name": "1Pass", "base_url": "https://events.1password.com", "supported_apis": ["audit"]}
    document = {
        "source": {
            "sourceType": "Universal",
            "schemaRef": {"type": "1Password"},
            "config": {**members, "api_token": TOKEN},
        }
    }
    config = parse_sources(json.dumps(document).encode(), allowed_hosts=frozenset())[0]
    block = SimpleNamespace(config=lambda: config)
    lifecycle: Any = SimpleNamespace(locate=lambda _: SimpleNamespace(valid_block=lambda: block))
    monkeypatch.setattr(deferred, "lifecycle", lifecycle, raising=False)
    answer = operator.get(f"/console/sources/{SOURCE.id}/export.json")
    assert json.loads(answer.text)["source"]["config"]["name"] == "1Pass"
    assert "the-token" not in answer.text
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''1Pass.json"
    assert audit_log.newest(store, 1)[0].action == "export"
    assert viewer.get(f"/console/sources/{SOURCE.id}/export.json").status_code == 403
