"""The kinds of SIEM that there are, and where the block of each is."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from blocks.problems import closest_match, quote

if TYPE_CHECKING:
    from blocks.siem.base import SiemBlock

KINDS = ("sumo-logic", "splunk", "elasticsearch", "sentinel", "syslog", "otlp", "webhook", "archive")
"""What a SIEM is called in a file and on the command line; its block is in the folder of that name."""


def expected_kind(kind: object = None) -> str:
    """What would be right where `kind` is none of them: the one that it most likely means, or all."""
    meant = closest_match(kind, KINDS) if isinstance(kind, str) else None
    return f'"{meant}"' if meant else f"one of {', '.join(KINDS)}"


@cache
def block_class(kind: str) -> type[SiemBlock]:
    """The class of its block. Raises ThirdPartyConfigError where there is no such kind."""
    if kind not in KINDS:
        raise ThirdPartyConfigError(
            f"There is no kind of SIEM called {quote(kind)}.", hint=f"Use {expected_kind(kind)}.", code="kind"
        )
    module = import_module(f"blocks.siem.{kind.replace('-', '_')}.block")
    found: type[SiemBlock] = next(one for one in vars(module).values() if getattr(one, "kind", None) == kind)
    return found
