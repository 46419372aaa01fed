"""The documentation as a site: `make docs` accepts it, and it works without a network, on a phone and in the dark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import browser
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

MKDOCS = [sys.executable, "-m", "mkdocs", "build", "--strict"]
# Without --quiet, which would hide the warnings that --strict counts.
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href|srcset)=["']?([^"'>\s]+)""")
LOADED_BY_CSS = re.compile(r"""(?:url\(|@import\s+)["']?([^"')\s]+)""")
FOREIGN = ("http:", "https:", "//")
LOAD = 60_000
"""Milliseconds that a page may take on a busy machine."""


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [*MKDOCS, "--config-file", str(root / "mkdocs.yml"), "--site-dir", str(site)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("documentation") / "site"
    done = build(ROOT, directory)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documentation, to be damaged."""
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


@pytest.mark.parametrize(
    ("damage", "reported"),
    [
        ("[a page](no-such-page.md)", "no-such-page.md"),
        ("[a place](glossary.md#no-such-place)", "no-such-place"),
        ("[a place](../CHANGELOG.md#no-such-place)", "no-such-place"),
    ],
)
def test_a_broken_link_fails(copy: Path, damage: str, reported: str) -> None:
    with (copy / "docs" / "tutorial.md").open("a") as page:
        page.write(f"\n{damage}\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0
    assert reported in done.stderr


def test_a_page_without_a_place_in_the_navigation_fails(copy: Path) -> None:
    (copy / "docs" / "lost.md").write_text("# Lost\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0
    assert "lost.md" in done.stderr


def test_no_page_loads_anything_from_another_origin(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    loaded = {address for page in pages for address in LOADED.findall(page.read_text())}
    styles = {address for sheet in site.rglob("*.css") for address in LOADED_BY_CSS.findall(sheet.read_text())}
    assert any(address.endswith(".css") for address in loaded)
    assert [address for address in loaded | styles if address.startswith(FOREIGN)] == []


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened() as made:
        made.set_default_timeout(LOAD)
        yield made


def test_the_search_works_on_files_without_a_server(page: Page, site: Path) -> None:
    seen = browser.observe(page, "file:")
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").press_sequentially("webhook-signature")
    found = page.locator(".md-search-result__list a").first
    found.wait_for()
    found.click()
    page.wait_for_url("**/siem/webhook.html*")
    assert seen.foreign == []
    assert [text for text in seen.errors if "favicon" not in text] == []


@pytest.mark.parametrize("width", [360, 1400])
def test_no_page_is_wider_than_the_screen(page: Page, site: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    seen = browser.observe(page, "file:")
    wider = []
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wider.append(path.name)
    assert wider == []
    assert seen.foreign == []


@pytest.mark.parametrize(("scheme", "palette"), [("light", "default"), ("dark", "slate")])
def test_a_page_is_as_dark_as_the_reader_wants(page: Page, site: Path, scheme: Any, palette: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto((site / "index.html").as_uri())
    page.wait_for_function("scheme => document.body.dataset.mdColorScheme === scheme", arg=palette)
