"""How long the pages of the console take: to the first byte, and in Chromium to the last paint.

Makes stores with 1 and with 500 sources, each page read three times, the fastest counts; `--store URL` measures an
existing store, such as the one of ten million events that `search.py --keep` leaves.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import browser, fleet_store
from support.console_client import PASSWORDS
from support.served_console import served_console

from blocks.store import schema
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

TIMES = 3
PAINT = """new Promise(resolve => {
  let last = 0;
  new PerformanceObserver(list => { for (const one of list.getEntries()) last = one.startTime; })
    .observe({type: "largest-contentful-paint", buffered: true});
  setTimeout(() => resolve(Math.max(last, ...performance.getEntriesByType("paint").map(one => one.startTime))), 300);
})"""


@contextmanager
def made_store(sources: int) -> Iterator[str]:
    """The URL of a store with so many sources."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/events.db"
        engine = open_engine(url)
        schema.upgrade(engine)
        fleet_store.fill(engine, sources)
        engine.dispose()
        yield url


def measure(title: str, url: str) -> Table:
    """A row for each page: milliseconds to the first byte and to the last paint, and kilobytes."""
    os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url
    table = Table(title=title)
    for name in ("page", "first byte, ms", "last paint, ms", "kB"):
        table.add_column(name, justify="left" if name == "page" else "right")
    with served_console() as origin, httpx.Client(base_url=origin, timeout=300) as client, browser.opened() as page:
        client.post("/console/login", data={"password": PASSWORDS.operator})
        page.goto(f"{origin}/console/login")
        page.fill("#password", PASSWORDS.operator)
        page.click("button")
        page.wait_for_url("**/console/")
        for path in pages(client):
            seconds, size = min(first_byte(client, path) for _ in range(TIMES))
            paint = min(last_paint(page, origin + path) for _ in range(TIMES))
            name = re.sub("[0-9a-f]{32}", "ID", path)
            table.add_row(name, f"{seconds * 1000:,.0f}", f"{paint:,.0f}", f"{size / 1000:,.0f}")
    return table


def pages(client: httpx.Client) -> list[str]:
    """Those that the navigation names, one source's, and the strips of fifty."""
    first = client.get("/console/").text
    ids = re.findall(r'"/console/sources/([0-9a-f]{32})"', first)
    named = re.findall(r'<a href="(/console/[a-z]*)"', first.partition("</nav>")[0])
    return [*named, f"/console/sources/{ids[0]}", f"/console/strips?ids={','.join(ids[:50])}"]


def first_byte(client: httpx.Client, path: str) -> tuple[float, int]:
    begun = time.perf_counter()
    with client.stream("GET", path) as answer:
        answer.raise_for_status()
        parts = answer.iter_raw()
        size = len(next(parts, b""))
        took = time.perf_counter() - begun
        return took, size + sum(map(len, parts))


def last_paint(page: Page, url: str) -> float:
    page.goto(url)
    return float(page.evaluate(PAINT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sources", type=int, nargs="*", default=[1, 500])
    parser.add_argument("--store", help="URL of an existing store")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 100))
    for number in options.sources:
        with made_store(number) as url:
            console.print(measure(f"{number} source{'s' * (number != 1)}, SQLite", url))
    if options.store:
        console.print(measure("the given store", options.store))


if __name__ == "__main__":
    main()
