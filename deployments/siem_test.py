"""The result of a test of a SIEM, without Prefect, so that every process can show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """An event as it would be sent: its `record`, or which rule filters it.

    `redacted` are the members that rules change. `withheld`: nothing of the source is sent, because forwarding is not
    enabled for it.
    """

    source: str
    api: str
    uuid: str
    withheld: bool
    record: str = ""
    group: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    filtered_by: str | None = None


@dataclass(frozen=True, slots=True)
class SiemTest:
    """The samples, and the answer to the test request: empty if none was made. `works`: it was accepted."""

    siem: str
    samples: tuple[Sample, ...]
    answer: str
    works: bool
