"""The console's pages in a real browser, over a store with sources: anyone can read and use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from support import browser, fleet_store
from support.console_client import PASSWORDS
from support.served_console import served_console

from blocks.store import schema
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

LOAD = 60_000
"""Milliseconds that a page may take on a busy machine."""
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a console over a store of three sources, one of them in error."""
    directory: Path = tmp_path_factory.mktemp("console")
    url = f"sqlite:///{directory / 'events.db'}"
    engine = open_engine(url)
    schema.upgrade(engine)
    fleet_store.fill(engine, 3)
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(directory))
        patch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
        with served_console() as served:
            yield served


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened() as made:
        made.set_default_timeout(LOAD)
        yield made


def log_in(page: Page, origin: str) -> None:
    page.goto(f"{origin}/")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password", exact=True).fill(PASSWORDS.operator)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", level=1, name="Sources").wait_for()


def console_pages(page: Page, origin: str) -> list[str]:
    """The addresses that the navigation names, and a source."""
    page.goto(f"{origin}/console/")
    links = [one.get_attribute("href") or "" for one in page.locator("header nav a").all()]
    source = page.locator("table.rows th a").first.get_attribute("href") or ""
    return [*(link for link in links if link.startswith("/console/")), source]


def further_pages(source: str) -> list[str]:
    """Those that other pages lead to."""
    source_id = source.rpartition("/")[2]
    plan = f"/console/backfill?source={source_id}&start=3d"
    return ["/console/sources/new", f"{source}/quarantine", f"{source}/findings", "/console/siems/soc-0?from=7d", plan]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anyone_out(origin: str, scheme: str) -> None:
    """What axe-core finds, on every page; and no page is wider than a small telephone."""
    with browser.opened(color_scheme=scheme, viewport={"width": 360, "height": 800}) as page:
        page.set_default_timeout(LOAD)
        page.goto(origin)
        assert _violations(page) == []
        log_in(page, origin)
        paths = console_pages(page, origin)
        for path in [*paths, *further_pages(paths[-1])]:
            page.goto(origin + path)
            page.get_by_role("heading", level=1).wait_for()
            assert _violations(page) == [], path
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not wide, path


def test_every_page_can_be_used_with_the_keyboard(origin: str, page: Page) -> None:
    """The first Tab offers to skip the navigation; further ones reach every link and button."""
    log_in(page, origin)
    for path in console_pages(page, origin):
        page.goto(origin + path)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content", path
        reached = set()
        for _ in range(400):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
        wanted = page.locator("main a[href]:visible, main button:visible, main input:visible").all()
        missing = [one.evaluate("one => one.outerHTML.slice(0, 200)") for one in wanted[:150]]
        assert [one for one in missing if one not in reached] == [], path


def test_health_explains_itself_on_hover_and_on_focus(origin: str, page: Page) -> None:
    log_in(page, origin)
    badge = page.locator(".badge[data-hint]").first
    badge.focus()
    page.get_by_role("tooltip").wait_for()
    assert page.get_by_role("tooltip").inner_text() == badge.get_attribute("data-hint")
    page.keyboard.press("Escape")
    page.get_by_role("tooltip").wait_for(state="hidden")


@pytest.mark.parametrize("reach", ["focus", "hover"])
def test_health_explains_itself_to_a_reader_who_is_there_before_the_script(
    origin: str, page: Page, reach: Literal["focus", "hover"]
) -> None:
    log_in(page, origin)
    held: list[Route] = []
    page.route("**/static/console.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright takes no builtin
    page.goto(f"{origin}/console/", wait_until="commit")
    badge = page.locator(".badge[data-hint]").first
    getattr(badge, reach)()
    assert page.get_by_role("tooltip").count() == 0
    held[0].continue_()
    page.get_by_role("tooltip").wait_for()
    assert page.get_by_role("tooltip").inner_text() == badge.get_attribute("data-hint")


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": STANDARDS}).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]
