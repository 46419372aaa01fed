"""What the store records of collection: errors, retries, open conditions. And one request to each API and each SIEM."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx

from blocks import clock
from blocks.errors import SourceError
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from blocks.health import ERROR
from blocks.store import source_status
from blocks.store.engine import open_engine
from deployments.bounded_call import call_within
from deployments.checks.finding import Finding, failed, not_checked, ok, warning
from deployments.checks.runs import store_exists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.store.source_status import SourceStatus

STEP = "collection"
REQUEST_SECONDS = 15.0
HOUR_NS = 3600 * 10**9
_LOOK = "`onepassword-source status` shows all details, and what to do."


def check_collection(url: str, name: str) -> Finding:
    """Whether the store records errors of collecting and forwarding the source. The store is not changed."""
    if not store_exists(url):
        return not_checked(STEP, "there is no store yet")
    engine = open_engine(url)
    try:
        known = [one for one in source_status.sources(engine) if one.name == name]
    except SourceError:
        return not_checked(STEP, "the store could not be read")
    finally:
        engine.dispose()
    return _of(known[0]) if known else not_checked(STEP, "the store knows no such source")


def _of(source: SourceStatus) -> Finding:
    errors = [f"{one.api}: {one.error_message}" for one in source.streams if one.error_message and _is_kept(one.state)]
    errors += [one.description for one in source.open if one.severity == ERROR and not _is_in(one.description, errors)]
    if errors:
        return failed(STEP, " ".join(errors), _LOOK)
    if source.open:
        return warning(STEP, " ".join(one.description for one in source.open), _LOOK)
    read = [one.collector_lag_ns for one in source.streams if one.collector_lag_ns is not None]
    if not read:
        return ok(STEP, "nothing was read yet")
    return ok(STEP, f"no error is open, and each API was read to its end within {clock.format_span(max(read))}")


def _is_kept(state: str) -> bool:
    """True if the error still stands. An API that is being read, or was read, has recovered from its error."""
    return state not in {"ok", "reading"}


def _is_in(description: str, errors: Sequence[str]) -> bool:
    return any(description in error for error in errors)


def check_requests(base_url: str, token: str, apis: Sequence[str], api_version: str) -> list[Finding]:
    """Request one event of each API, as collection does."""
    return [_request(base_url, token, Api(api), api_version) for api in apis]


def _request(base_url: str, token: str, api: Api, api_version: str) -> Finding:
    def request() -> bool:
        timeout = httpx.Timeout(REQUEST_SECONDS)
        with EventsClient(
            base_url, token, api_version=api_version, timeout=timeout, deadline=REQUEST_SECONDS
        ) as client:
            return bool(client.first_page(api, clock.now_ns() - HOUR_NS, limit=1).events)

    step = f"request {api}"
    try:
        return ok(
            step,
            "it returned an event" if call_within(REQUEST_SECONDS + 1, request) else "it has no event of the last hour",
        )
    except SourceError as error:
        return failed(step, error.message, error.hint)
    except TimeoutError:
        return failed(step, f"It was not answered within {REQUEST_SECONDS:.0f} s.", "Try again later.")


def check_siems(url: str, name: str) -> list[Finding]:
    """Send one probe to each SIEM that receives the source's events."""
    from blocks.store.forwarding import forward_pairs  # noqa: PLC0415 - 0.5 s

    if not store_exists(url):
        return []
    engine = open_engine(url)
    try:
        pairs = [pair for pair in forward_pairs.find_all(engine) if pair.source == name]
    except SourceError as error:
        return [failed("probe", error.message, error.hint)]
    finally:
        engine.dispose()
    return [_probe(pair.siem, pair.kind) for pair in pairs]


def _probe(siem: str, kind: str) -> Finding:
    from tasks.support.siem import load_siem  # noqa: PLC0415 - imports Prefect

    def probe() -> str:
        with closing(load_siem(siem, kind).get_sender()) as sender:
            return sender.check()

    step = f"probe {siem}"
    try:
        return ok(step, call_within(REQUEST_SECONDS, probe))
    except SourceError as error:
        return failed(step, error.message, error.hint)
    except TimeoutError:
        return failed(step, f"It did not answer within {REQUEST_SECONDS:.0f} s.", "Check its address.")
