"""The page of all sources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.console_client import shown_text
from support.values import SOURCE

from blocks.store import sources

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient


def test_an_empty_store_says_what_to_do_next(operator: ConsoleClient) -> None:
    assert "onepassword-source apply source.json" in shown_text(operator.page("/"))


def test_a_source_is_a_row(store: Engine, viewer: ConsoleClient) -> None:
    sources.save(store, SOURCE)

    assert f'<a href="/console/sources/{SOURCE.id}">1Pass</a>' in viewer.page("/")


def test_a_hostile_name_is_text(store: Engine, viewer: ConsoleClient) -> None:
    sources.save(store, replace(SOURCE, name="<script>alert(1)</script>\u202e\x1b[31m"))

    page = viewer.page("/")
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


def test_without_a_session_there_is_only_the_login(client: ConsoleClient) -> None:
    assert client.get("/console/").url.path == "/console/login"


def test_a_form_without_its_token_changes_nothing(store: Engine, operator: ConsoleClient) -> None:
    sources.save(store, SOURCE)

    assert operator.post_form(f"/sources/{SOURCE.id}/stop", csrf="forged").status_code == 403
