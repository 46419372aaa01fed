"""Show in the Prefect UI what of a source was collected, and what is missing."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from blocks import clock
from blocks.coverage.gaps import KEPT_NS
from blocks.coverage.report import markdown
from blocks.prefect_names import block_name
from blocks.store import coverage_record
from tasks.support.source import load_source, open_store, source_record


@task(name="coverage", cache_policy=NO_CACHE, persist_result=False)
def show_coverage(source: str) -> None:
    """Save the report of the last 120 days as an artifact, under a key of the source: the UI shows its history.

    Raises SourceError if the source or its store cannot be read.
    """
    block = load_source(source)
    record = source_record(block)
    made = coverage_record.report_of(open_store(block), record.id, source, clock.now_ns() - KEPT_NS)
    create_markdown_artifact(
        key=f"coverage-{block_name(source)}", markdown=markdown(made), description="What was collected, and the gaps."
    )
