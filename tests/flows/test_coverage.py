"""What of a source was collected, in the UI of a real Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blocks.prefect_names import block_name

if TYPE_CHECKING:
    from support.flow_runs import Source

pytestmark = pytest.mark.prefect


def test_a_source_leaves_its_coverage_as_an_artifact(source: Source) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from tasks.show_coverage import show_coverage

    source.collect()
    flow(lambda: show_coverage(source.name), name="test-coverage")()
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"coverage-{block_name(source.name)}"]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=wanted)
    assert artifact.type == "markdown"
    text = str(artifact.data)
    assert text.startswith(f"Source `{source.name}`, ")
    counts = [line.split(" | ")[3] for line in text.splitlines() if line.startswith(("| sign-in", "| item", "| audit"))]
    assert counts == [f"{stream.events:,}" for stream in source.status().streams]
    assert sum(map(int, counts)) == 300
    assert text.count("```text\n") == 3
    assert text.endswith("There is no gap.")
