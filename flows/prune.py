"""The flow `prune`: remove events that are older than you keep them. It runs only if you schedule it."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.errors import SourceError
from blocks.store import prune as retention
from tasks import verdict
from tasks.prune import find_targets, prune_stream
from tasks.run_state import conclude
from tasks.verdict import Verdict


@flow(name="prune", flow_run_name="prune older than {older_than}", persist_result=False)
def prune(older_than: str, source: str | None = None) -> State[Any]:
    """Remove old events from your database; the uuid and the SHA-256 digest of each stay.

    Args:
        older_than: How long events are kept, such as 400d; at least 121d.
        source: The name or the id of one source. Default: all sources.
    """
    try:
        rule = retention.parse_rule(older_than)
        targets = find_targets(source)
        removed = sum(prune_stream(target, rule) for target in targets)
    except SourceError as error:
        return conclude(verdict.error_verdict(error))
    return conclude(Verdict("Pruned", f"{removed:,} events older than {older_than} removed."))
