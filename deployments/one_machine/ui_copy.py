"""Completes our own copy of Prefect's UI, which Prefect unpacks for us. Prefect's package stays unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

LOGIN = Path(__file__).parent / "ui" / "login_first.js"
TAG = f'<script src="/{LOGIN.name}"></script>'
BEFORE = "<script "
COPIED = {
    # The page requests these at the root, where Prefect has none.
    "favicon.ico": "ico/favicon.ico",
    "favicon-dark.ico": "ico/favicon-dark.ico",
    # The page of a run uses the state's name as its icon's, and requests one before it has read the state.
    "ico/undefined.svg": "ico/pending.svg",
    "ico/cancelling.svg": "ico/cancelled.svg",
    "ico/paused.svg": "ico/pending.svg",
}


def complete(directory: Path) -> None:
    """Add the missing files, and close the copy to other users: Prefect copies it with the modes of the package.

    `directory` is Prefect's setting. It holds a copy for each version of the UI.
    """
    for page in directory.glob("*/index.html"):
        _complete(page)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)


def _complete(page: Path) -> None:
    for name, source in COPIED.items():
        if not (page.parent / name).exists() and (page.parent / source).exists():
            shutil.copyfile(page.parent / source, page.parent / name)
    shutil.copyfile(LOGIN, page.parent / LOGIN.name)
    text = page.read_text(encoding="utf-8")
    if TAG not in text:
        page.write_text(text.replace(BEFORE, f"{TAG}\n    {BEFORE}", 1), encoding="utf-8")
