"""The metrics, from the families that `status --format prometheus` and `/metrics` write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.reference.markdown import code, table

from deployments.one_machine import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

SUFFIXES = {"counter": "_total", "info": "_info"}


def source_metrics() -> str:
    return _table(metrics.source_families(()))


def up_metrics() -> str:
    return _table(metrics.up_families(None, store_answers=False))


def names() -> dict[str, tuple[str, ...]]:
    """Every metric by its full name, with its labels."""
    families = [*metrics.source_families(()), *metrics.up_families(None, store_answers=False)]
    return {family.name + SUFFIXES.get(family.type, ""): labels(family) for family in families}


def labels(family: Metric) -> tuple[str, ...]:
    if family.type == "info":
        return tuple(family.samples[0].labels)
    return tuple(family._labelnames)  # type: ignore[attr-defined]


def _table(families: Iterable[Metric]) -> str:
    rows = [
        (
            code(family.name.removeprefix(metrics.PREFIX) + SUFFIXES.get(family.type, "")),
            family.type,
            ", ".join(code(label) for label in labels(family)),
            family.documentation,
        )
        for family in families
    ]
    return table(("metric (`onepassword_source_…`)", "type", "labels", "meaning"), rows)
