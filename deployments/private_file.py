"""Files that only their owner may read, replaced as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace(file: Path, content: bytes) -> None:
    """Replace the file atomically, with mode 0600. Readers see the old content or the new one. Raises OSError."""
    part = file.with_suffix(f".{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:  # noqa: PTH123 - needs a mode
        opened.write(content)
    part.replace(file)
