"""The console and Prefect's pages of an `up` in a real browser: one login opens and closes both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from support.one_machine import RunningUp

pytestmark = pytest.mark.prefect

LOAD = 60_000
"""Milliseconds that a page may take on a busy machine."""


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


def test_one_login_opens_the_console_and_prefects_pages(running_up: RunningUp, origin: str, page: Page) -> None:
    log_in(page, running_up, origin)
    seen = browser.observe(page, origin)
    assert page.url == f"{origin}/console/"
    page.get_by_text("There is no source yet").wait_for()
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
    page.reload()
    page.get_by_label("Password", exact=True).wait_for()
    assert "/console/login?next=" in page.url


def test_a_wrong_password_is_an_error_and_a_viewer_sees_no_action(
    running_up: RunningUp, origin: str, page: Page
) -> None:
    page.goto(origin)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("not known").wait_for()
    viewer = running_up.output.partition("viewer:")[2].split()[0]
    page.get_by_label("Password", exact=True).fill(f"viewer:{viewer}")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Sources").wait_for()
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
