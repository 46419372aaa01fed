"""The console, as `up` serves it, in a real browser: one login, and pages that anyone can read and use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from support import browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from support.one_machine import RunningUp

pytestmark = pytest.mark.prefect

LOAD = 20_000
"""Milliseconds that a page may take on a busy machine."""
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def origin(running_up: RunningUp) -> str:
    return f"http://127.0.0.1:{running_up.port}"


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened(base_url="") as made:
        made.set_default_timeout(LOAD)
        yield made


def log_in(page: Page, up: RunningUp, origin: str, path: str = "/") -> None:
    page.goto(origin + path)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password", exact=True).fill(up.auth[1])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)


def console_pages(page: Page, origin: str) -> list[str]:
    """The addresses that the navigation names, and a source."""
    page.goto(f"{origin}/console/")
    links = [one.get_attribute("href") or "" for one in page.locator("header nav a").all()]
    source = page.locator("table.rows th a").first.get_attribute("href") or ""
    return [*(link for link in links if link.startswith("/console/")), source]


def test_one_login_opens_the_console_and_prefects_pages(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin)
    seen = browser.observe(page, origin)
    assert page.url == f"{origin}/console/"
    page.get_by_role("link", name="1Pass", exact=True).click()
    page.get_by_role("heading", level=1, name="1Pass").wait_for()
    page.get_by_role("link", name="Prefect", exact=True).click()
    page.get_by_text("Flow Runs").first.wait_for()
    page.get_by_text("onepassword-source").first.wait_for()
    page.get_by_role("link", name="Sources", exact=True).click()
    page.get_by_role("heading", level=1, name="Sources").wait_for()
    assert seen.found == []


def test_prefects_pages_lead_to_the_login_and_back(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin, "/flows?page=1")
    page.wait_for_url(f"{origin}/flows?page=1")
    page.get_by_text("collect").first.wait_for()


def test_a_session_that_is_over_leads_to_the_login(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin, "/flows?page=1")
    page.get_by_text("collect").first.wait_for()
    page.context.clear_cookies()
    page.get_by_role("link", name="Deployments").first.click()
    page.get_by_label("Password", exact=True).wait_for()
    assert "/console/login?next=" in page.url


def test_a_wrong_password_is_told_and_a_viewer_sees_no_action(running_up: RunningUp, origin: str, page: Page) -> None:
    page.goto(origin)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("not known").wait_for()
    viewer = running_up.output.partition("viewer:")[2].split()[0]
    page.get_by_label("Password", exact=True).fill(f"viewer:{viewer}")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="1Pass", exact=True).click()
    page.get_by_role("heading", level=1, name="1Pass").wait_for()
    assert page.get_by_role("button").all_inner_texts() == ["Log out"]
    page.goto(f"{origin}/dashboard")  # no viewer's page: it leads back
    page.get_by_role("heading", level=1, name="Sources").wait_for()


def test_the_logout_ends_both(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin)
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Password", exact=True).wait_for()
    assert page.evaluate("localStorage.getItem('prefect-password')") is None
    page.goto(f"{origin}/dashboard")
    page.get_by_label("Password", exact=True).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_keeps_anyone_out(running_up: RunningUp, origin: str, scheme: str) -> None:
    """What axe-core finds, on every page; and no page is wider than a small telephone."""
    with browser.opened(color_scheme=scheme, viewport={"width": 360, "height": 800}) as page:
        page.set_default_timeout(LOAD)
        page.goto(origin)
        assert _violations(page) == []
        log_in(page, running_up, origin)
        for path in console_pages(page, origin):
            page.goto(origin + path)
            page.get_by_role("heading", level=1).wait_for()
            assert _violations(page) == [], path
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not wide, path


def test_every_page_can_be_used_with_the_keyboard(running_up: RunningUp, origin: str, page: Page) -> None:
    """The first Tab offers to skip the navigation; further ones reach every link and button."""
    log_in(page, running_up, origin)
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


def test_health_explains_itself_on_hover_and_on_focus(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin)
    badge = page.locator(".badge[data-hint]").first
    badge.focus()
    page.get_by_role("tooltip").wait_for()
    assert page.get_by_role("tooltip").inner_text() == badge.get_attribute("data-hint")
    page.keyboard.press("Escape")
    page.get_by_role("tooltip").wait_for(state="hidden")


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"runOnly": STANDARDS}).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]
