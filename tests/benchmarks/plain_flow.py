"""The least that Prefect does for a run: a flow with one task, neither of which does anything."""

from __future__ import annotations

from prefect import flow, task


@task(persist_result=False)
def step() -> None:
    pass


@flow(name="plain", persist_result=False)
def plain() -> None:
    step.submit().result()
