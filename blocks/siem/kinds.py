"""The kinds of SIEM that there are, and where the block of each is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from blocks.faults import nearest, show

if TYPE_CHECKING:
    from blocks.siem.base import SiemBlock

_BLOCKS = {
    "sumo-logic": "SumoLogic",
    "splunk": "Splunk",
    "elasticsearch": "Elasticsearch",
    "sentinel": "Sentinel",
    "syslog": "Syslog",
    "otlp": "Otlp",
    "webhook": "Webhook",
    "archive": "Archive",
}
KINDS = tuple(_BLOCKS)
"""What a SIEM is called in a file and on the command line."""


def block_class(kind: str) -> type[SiemBlock]:
    """The class of its block. Raises ThirdPartyConfigError where there is no such kind."""
    if kind not in _BLOCKS:
        meant = nearest(kind, KINDS)
        raise ThirdPartyConfigError(
            f"There is no kind of SIEM called {show(kind)}.",
            hint=f"Did you mean {meant}?" if meant else f"There are: {', '.join(KINDS)}.",
            code="kind",
        )
    module = import_module(f"blocks.siem.{kind.replace('-', '_')}")
    found: type[SiemBlock] = getattr(module, _BLOCKS[kind])
    return found
