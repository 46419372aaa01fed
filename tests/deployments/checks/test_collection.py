"""The check of what was collected, and one request to each API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.health import WARNING, Condition
from blocks.store import health, sources, streams
from blocks.store.engine import open_engine
from deployments.checks import collection
from deployments.checks.finding import Finding

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess


def test_an_api_in_error_is_no_collection_that_works(url: str) -> None:
    engine = open_engine(url)
    sources.save(engine, SOURCE)
    assert collection.check_collection(url, SOURCE.name) == Finding("collection", "ok", "nothing was read yet")
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_drain(engine, claim, clock.now_ns())
    found = collection.check_collection(url, SOURCE.name)
    assert (found.result, found.description.split(",")[0]) == ("ok", "no error is open")
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_failure(engine, claim, ThirdPartyGenericError("The Events API answered 500.", code="500"))
    found = collection.check_collection(url, SOURCE.name)
    assert (found.result, found.description) == ("failed", "audit: The Events API answered 500.")
    streams.recover(engine, claim)
    health.update_conditions(engine, SOURCE.id, [Condition("lag/audit", "Lag", WARNING, "audit is late.", "audit")], [])
    engine.dispose()
    assert collection.check_collection(url, SOURCE.name).result == "warning"


def test_a_deep_check_requests_each_api(api: SandboxProcess) -> None:
    api.fault("500", api="auditevents")
    try:
        found = collection.check_requests(api.base_url, api.token, list(Api), "v2")
    finally:
        api.clear_faults()
    assert {one.step: one.result for one in found} == {
        "request sign-in": "ok",
        "request itemUsage": "ok",
        "request audit": "failed",
    }
