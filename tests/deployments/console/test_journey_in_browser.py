"""A person's way through the console of a real `up`: from an empty store to events in a SIEM."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import browser, siem_targets
from support.one_machine import wait_until
from support.up_process import Up

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect

LOAD = 90_000
"""Milliseconds that anything may take on a busy machine."""
EVENTS = 300
APIS = ("signinattempts", "itemusages", "auditevents")


@dataclass
class Journey:
    up: Up
    sandbox: SandboxProcess
    page: Page

    def open(self, path: str) -> None:
        self.page.goto(f"{self.up.origin}/console{path}")
        self.page.get_by_role("heading", level=1).wait_for()

    def press(self, name: str) -> None:
        """Press a button that starts an action, and wait for its result."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
        self.page.locator("main .badge").filter(has_text=re.compile("done|failed")).first.wait_for()

    def wait_for(self, path: str, text: str | re.Pattern[str]) -> None:
        """Load a page until it shows a text."""

        def shows() -> bool:
            self.open(path)
            return self.page.locator("main").get_by_text(text).count() > 0

        wait_until(shows, LOAD / 1000)

    @property
    def source(self) -> str:
        """The path of the source's page."""
        self.open("/")
        link = self.page.locator("table.rows th a").first.get_attribute("href")
        assert link
        return link.removeprefix("/console")


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Journey]:
    """An `up` with nothing in it, a sandbox, and a browser whose user has logged in."""
    up = Up(tmp_path)
    up.data.mkdir(mode=0o700)
    with running_sandbox(events=EVENTS, days=20) as sandbox:
        up.start()
        try:
            with browser.opened() as page:
                page.set_default_timeout(LOAD)
                page.on("dialog", lambda dialog: dialog.accept())
                page.goto(up.origin)
                page.get_by_label("Your name").fill("Ada")
                password = json.loads((up.data / "secrets.json").read_bytes())["api_password"]
                page.get_by_label("Password", exact=True).fill(password)
                page.get_by_role("button", name="Log in").click()
                yield Journey(up, sandbox, page)
        finally:
            up.stop()


def test_from_an_empty_store_to_events_in_a_siem(journey: Journey, tmp_path: Path) -> None:
    _add_a_source(journey)
    _see_it_fail_and_mend_it(journey)
    _search(journey)
    _backfill(journey)
    _forward(journey, tmp_path)
    _see_who_did_what(journey)


def _add_a_source(journey: Journey) -> None:
    """A wrong token is refused with the reason; the right one brings the events."""
    page = journey.page
    page.get_by_text("There is no source yet").wait_for()
    page.get_by_role("link", name="Add a source").first.click()
    for token, verdict in (("wrong", "cannot be added"), (journey.sandbox.token, "can be added")):
        page.get_by_label("Name", exact=True).fill("Acme")
        page.get_by_label(re.compile("^Server of your account")).fill(journey.sandbox.base_url)
        page.get_by_label("API token", exact=True).first.fill(token)
        page.get_by_label(re.compile("^Collect from")).fill("10d")
        page.get_by_label("forward to SIEMs").check()
        page.get_by_role("button", name="Check").first.click()
        page.get_by_text(verdict, exact=True).first.wait_for()
    journey.press("Add the source")
    journey.wait_for("/", "healthy")
    journey.wait_for(journey.source, re.compile("^Collected"))


def _see_it_fail_and_mend_it(journey: Journey) -> None:
    """A token that 1Password no longer accepts puts the source in error, with what to do; a new one ends it."""
    source = journey.source
    journey.sandbox.fault("revoked")
    journey.open(source)
    journey.press("Collect now")
    journey.wait_for("/", "in error")
    journey.wait_for(source, "ThirdPartyConfigError")
    journey.sandbox.clear_faults()
    journey.open(source)
    journey.page.get_by_label(re.compile("^New token")).fill(journey.sandbox.issue_token())
    journey.press("Check and replace")
    journey.wait_for("/", "healthy")
    journey.wait_for("/health", re.compile("ended", re.IGNORECASE))


def _search(journey: Journey) -> None:
    """An event opens with its body byte for byte, and each of its members filters."""
    bodies = {body.decode() for api in APIS for body in journey.sandbox.events(api)}
    page, opened = journey.page, "article.detail pre"

    def is_indexed() -> bool:
        journey.open("/events?last=all")
        return page.locator("#events tbody tr[id]").count() > 0

    wait_until(is_indexed, LOAD / 1000)
    page.locator("#events tbody tr[id] th a").first.click()
    page.locator(opened).wait_for()
    body = page.locator(opened).inner_text()
    assert body in bodies
    person = page.locator("article.detail a.filter").filter(visible=True).first
    person.click()
    page.locator("#events tbody tr[id]").first.wait_for()
    assert re.search(r"\?.*=", page.url)


def _backfill(journey: Journey) -> None:
    """What is older than the first run is planned, read, and found by the next coverage."""
    page = journey.page
    journey.open("/backfill")
    page.get_by_label(re.compile("^From")).fill("19d")
    page.get_by_role("button", name="Show the plan").click()
    journey.press("Start the backfill")
    journey.wait_for("/backfill", "finished")


def _forward(journey: Journey, directory: Path) -> None:
    """A SIEM that was added gets every event at once, and again on request; its page shows it."""
    (directory / "splunk").mkdir()
    with siem_targets.running("splunk", directory / "splunk") as target:
        config = {"name": "soc", "type": target.kind, "sources": ["Acme"], "config": target.config}
        journey.up.apply("siem", {"siems": [config]})
        stored = {json.loads(event)["uuid"] for api in APIS for event in journey.sandbox.events(api)}
        received = _received(stored, journey)
        wait_until(lambda: set(target.arrived()) >= received, LOAD / 1000)
        journey.wait_for("/siems", "soc")
        journey.open("/siems/soc")
        journey.page.get_by_label("Since").fill("30d")
        journey.page.get_by_role("button", name="Count the events").click()
        journey.page.get_by_role("button", name=re.compile("^Send .* again$")).first.click()
        wait_until(lambda: min(target.arrived().values()) > 1, LOAD / 1000)
        journey.open("/siems/soc")
        journey.page.get_by_role("button", name="Show what would be sent").click()
        journey.page.get_by_text(re.compile("sign-in")).first.wait_for()


def _received(stored: set[str], journey: Journey) -> set[str]:
    """Those of 19 days: what is older was read by nothing."""
    shown = journey.up.call("events", "Acme", "--format", "ndjson")
    uuids = {json.loads(line)["uuid"] for line in shown.splitlines()}
    assert uuids <= stored
    assert len(uuids) > EVENTS // 2
    return uuids


def _see_who_did_what(journey: Journey) -> None:
    """Each action stands in the record with the name of the person."""
    journey.open("/system")
    text = journey.page.locator("main").inner_text()
    assert "Ada (console, 127.0.0.1)" in text
    journey.open(journey.source)
    changes = journey.page.locator("main").inner_text()
    for action in ("create", "collect", "token"):
        assert action in changes
    assert journey.sandbox.token not in text + changes
