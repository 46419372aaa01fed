"""Ask the Events API whose token it is and what it may read."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import outcomes
from blocks.store import sources, streams
from blocks.store.streams import Claim
from tasks import retries
from tasks.source import load_source, open_store


@dataclass(frozen=True, slots=True)
class Access:
    """The streams that the token may read, the refusals of the others, and both in one sentence."""

    claims: tuple[Claim, ...]
    refused: dict[str, SourceError]
    sentence: str


@task(
    name="authenticate",
    retries=retries.ATTEMPTS,
    retry_delay_seconds=1,
    retry_condition_fn=retries.again,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def authenticate(source: str, source_id: str, claims: tuple[Claim, ...]) -> Access:
    """Introspect the token. A refused token stops all of `claims`; a missing scope stops the streams that need it.

    A server that cannot be asked stops nothing: reading is tried all the same.
    """
    try:
        access = _authenticate(source, source_id, claims)
    except SourceError as error:
        error.retry_in = retries.window_in_memory(str(task_run.id), error)
        raise
    retries.forget(str(task_run.id))
    return access


def _authenticate(name: str, source_id: str, claims: tuple[Claim, ...]) -> Access:
    block = load_source(name)
    engine = open_store(block)
    try:
        with block.credentials.get_client(block.api_version) as client:
            seen = client.introspect()
    except ThirdPartyConfigError as error:
        for claim in claims:
            streams.stop(engine, claim, error, block.fingerprint())
        raise
    except ThirdPartyGenericError as error:
        get_run_logger().warning("The token could not be introspected; reading goes on without. %s", error)
        return Access(claims, {}, f"Not told by the server: {error.message}")
    sources.note_introspection(engine, source_id, seen)
    allowed = tuple(claim for claim in claims if seen.allows(claim.api))
    refused: dict[str, SourceError] = {}
    for claim in claims:
        if claim not in allowed:
            refused[claim.api] = outcomes.of_missing_scope(claim.api, seen.scopes)
            streams.stop(engine, claim, refused[claim.api], block.fingerprint())
    return Access(allowed, refused, _sentence(sorted(seen.scopes), seen.account_uuid))


def _sentence(scopes: list[str], account: str | None) -> str:
    whose = f" of account {account}" if account else ""
    return f"The token{whose} may read {', '.join(scopes) or 'nothing'}."
