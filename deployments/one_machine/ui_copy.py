"""What is added to our own copy of Prefect's UI, which Prefect unpacks for us. Its package stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

LOGIN = Path(__file__).parent / "ui" / "login_first.js"
TAG = f'<script src="/{LOGIN.name}"></script>'
BEFORE = "<script "
COPIED = {
    # The page asks for these at the root, where Prefect has none.
    "favicon.ico": "ico/favicon.ico",
    "favicon-dark.ico": "ico/favicon-dark.ico",
    # A run's page shows the run's state as its icon, and asks for one before it has read the state.
    "ico/undefined.svg": "ico/pending.svg",
    "ico/cancelling.svg": "ico/cancelled.svg",
    "ico/paused.svg": "ico/pending.svg",
}


def complete(directory: Path) -> None:
    """Add what is missing, and close it to other users: Prefect has copied it with the modes of the package.

    `directory` is Prefect's setting, below which it keeps a copy for each version of its UI.
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
