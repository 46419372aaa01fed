"""What is configured of one SIEM, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SiemConfig:
    """One SIEM, checked: its name, its kind, the sources whose events it gets, and its block, not yet saved.

    `asked` are its secrets that nothing gave, to be asked for: `with_secrets` completes the block.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    members: Mapping[str, Any]
    missing_secrets: tuple[str, ...] = ()
