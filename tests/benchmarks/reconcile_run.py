"""One run of the real flow `reconcile`, over the days that the sandbox's events cover."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from backfill_run import measure_flow
from flow_run import NAME

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

LAST = "BENCHMARK_LAST"
"""The variable of the environment that says how far back."""
READERS = 4  # as many as a backfill has by default


def main() -> None:
    measure_flow(_reconcile, "Reconciled")


def _reconcile() -> State[Any]:
    from flows.reconcile import reconcile

    return reconcile(NAME, os.environ[LAST], readers=READERS, return_state=True)


if __name__ == "__main__":
    main()
