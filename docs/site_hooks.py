"""What the site has beside the pages in docs/: those of the top level. MkDocs calls the functions by their names.

A link from a page to a file outside docs/ works in the repository. On the site it leads to the page of that file, or
there is only its text if the file has no page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]+)\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
"""A link to a file, without those to other sites and within the page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    source = _source(page.file.src_uri)
    return LINK.sub(lambda link: _on_the_site(link, source, page.file.src_uri), markdown)


def _source(uri: str) -> Path:
    outside = {page: ROOT / name for name, page in PAGES.items()}
    return outside.get(uri, DOCS / uri)


def _on_the_site(link: re.Match[str], source: Path, uri: str) -> str:
    target = (source.parent / link["path"]).resolve()
    if target == ROOT / "README.md":
        page = "index.md"
    elif target.is_relative_to(DOCS):
        page = target.relative_to(DOCS).as_posix()
    else:
        page = PAGES.get(target.relative_to(ROOT).as_posix(), "") if target.is_relative_to(ROOT) else ""
        if not page and target.exists():
            return link["text"]
    path = os.path.relpath(page, Path(uri).parent) if page else link["path"]
    return f"[{link['text']}]({path}{link['anchor'] or ''})"
