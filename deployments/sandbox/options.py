"""The options of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployments.sandbox.rate_limiter import RequestWindow


LONGEST_DAYS = 3650


class SandboxOptionError(Exception):
    """Which option is invalid, and what it can be."""


@dataclass(frozen=True)
class SandboxOptions:
    """`port` 0 takes a free one. `events` counts all three APIs together, spread over the last `days`.

    `rate` is the number of new events per minute and API. `until` (RFC 3339, default now) is the end of the first
    `events`: with it, two sandboxes of one seed hold the same bytes. `bulk` computes events instead of storing them,
    for any number; their times spread over at least `days`. `gzip` None means on, but not in bulk. Without
    `rate_windows` there are no rate limits. `faults` are as in `POST /_sandbox/faults`.
    """

    port: int = 0
    events: int = 3000
    seed: int = 1
    days: float = 7.0
    rate: float = 0.0
    until: str | None = None
    bulk: bool = False
    gzip: bool | None = None
    rate_windows: tuple[RequestWindow, ...] = ()
    faults: tuple[Mapping[str, object], ...] = field(default=())

    def __post_init__(self) -> None:
        wrong = [
            said
            for is_wrong, said in (
                (self.events < 0, f"events must be 0 or more, not {self.events}"),
                (not 0 < self.days <= LONGEST_DAYS, f"days must be from 0 to {LONGEST_DAYS}, not {self.days}"),
                (self.rate < 0, f"rate must be 0 or more, not {self.rate}"),
            )
            if is_wrong
        ]
        if wrong:
            raise SandboxOptionError("; ".join(wrong))

    @property
    def compresses(self) -> bool:
        return not self.bulk if self.gzip is None else self.gzip
