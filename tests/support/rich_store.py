"""A store with data of every kind: events, errors, conditions, quarantine, gaps, a job, rejected events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support import siem_store
from support.chains import Filled
from support.forwarding import SIEM, Pair
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyGenericError, TokenError
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.events_api.rate_limit import DOCUMENTED
from blocks.store import health, last_backup, lifecycle, pages, rate_limit_windows, sources, streams
from blocks.store.backfill import jobs
from blocks.store.forwarding import forward_pairs, positions

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAY_NS = 86_400 * 10**9
ACCOUNT = "A" * 26


def create(engine: Engine) -> None:
    """Save SOURCE and the SIEM `soc`, without events."""
    sources.save(engine, replace(SOURCE, fields={"_siemForward": True}))
    forward_pairs.save(engine, SOURCE.id, SIEM, "webhook", {}, "first")


def fill(engine: Engine, url: str, each: int = 20) -> None:
    """Save both, with `each` events of the sandbox for each API, and with every kind of problem."""
    create(engine)
    siem_store.commit(url, SOURCE.name, each)
    lifecycle.revoke(engine, SOURCE.id)
    pair = Pair(engine, *forward_pairs.require(engine, SIEM, SOURCE.name), Filled(engine))
    pair.rejects(0, 2)
    _fail_to_forward(engine, pair)
    _collect_with_problems(engine)
    now_ns = clock.now_ns()
    sources.save(engine, replace(SOURCE, fields={"_siemForward": True}, token_expires_ns=now_ns + 20 * DAY_NS))
    rate_limit_windows.acquire(engine, f"account/{ACCOUNT}", DOCUMENTED, 7)
    wanted = jobs.JobRequest(jobs.BACKFILL, SOURCE.id, tuple(Api), now_ns - 5 * DAY_NS, now_ns - DAY_NS)
    jobs.start(engine, wanted, DAY_NS)
    last_backup.record(engine, "/backups/monday", 1_000, "0" * 64)


def _fail_to_forward(engine: Engine, pair: Pair) -> None:
    error = ThirdPartyGenericError("The SIEM answered 503.", code="503")
    positions.record_failure(engine, pair.claim(Api.SIGN_IN), error)


def _collect_with_problems(engine: Engine) -> None:
    """One API is stopped, one is retried, one is drained and has an item in quarantine."""
    views = {view.api: view for view in streams.of_source(engine, SOURCE.id, tuple(Api))}
    claims = {api: streams.acquire(engine, view, "run-2", by_force=True) for api, view in views.items()}
    now_ns = clock.now_ns()
    event = Event("later", now_ns, '{"uuid":"later","category":"success","client":{"ip_address":"203.0.113.7"}}')
    page = Page("c2", has_more=False, events=[event], invalid_items=[InvalidItem("it has no uuid", b"{}")])
    for api, claim in claims.items():
        assert claim
        if api is Api.SIGN_IN:
            streams.record_first_request(engine, claim, now_ns - 3 * DAY_NS)
            pages.commit_page(engine, claim, page, after=views[api].cursor, api_version="v2")
            streams.record_drain(engine, claim, now_ns, streams.DrainStats(lag_ns=1_500_000_000))
        elif api is Api.ITEM_USAGE:
            streams.record_failure(engine, claim, TokenError("It answered 500.", code="500"))
        else:
            streams.stop(engine, claim, TokenError("The Events API refuses the token.", code="401"), "first")
    sources.save_state(engine, SOURCE.id, "ThirdPartyConfigError", "The Events API refuses the token.", "run-2")
    assert health.open_conditions(engine, SOURCE.id)
