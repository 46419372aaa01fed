"""Introspect the token: whose it is, and which APIs it may read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.runtime import flow_run

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import api_errors
from blocks.events_api.models import Api
from blocks.events_api.token import read_claims
from blocks.store import sources, streams
from blocks.store.streams import StreamClaim
from tasks import attempts
from tasks.support import rate_gate
from tasks.support.source import forget_source, open_store, shared_source, source_record

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.source import OnePasswordSource


@dataclass(frozen=True, slots=True)
class Access:
    """The streams that the token may read, the errors of the other streams by API, and a sentence for people."""

    claims: tuple[StreamClaim, ...]
    errors: dict[str, SourceError]
    sentence: str


def authenticate(source: str, source_id: str, claims: tuple[StreamClaim, ...]) -> Access:
    """Introspect the token. A rejected token stops all of `claims`; a missing scope stops the streams that need it.

    If the server does not answer, nothing is stopped: the run reads without introspection.
    """
    key = f"authenticate/{flow_run.id}"
    return attempts.run_inline(_step, key, key, source, source_id, claims)


@task(name="authenticate", **attempts.TASK_OPTIONS)
def _step(key: str, source: str, source_id: str, claims: tuple[StreamClaim, ...]) -> Access:
    try:
        with attempts.attempt_in_memory(key):
            return _authenticate(source, source_id, claims)
    except SourceError:
        forget_source(source)
        raise


def _authenticate(name: str, source_id: str, claims: tuple[StreamClaim, ...]) -> Access:
    block = shared_source(name)
    engine = open_store(block)
    try:
        gate = rate_gate.open_gate(engine, source_record(block))
        with block.credentials.get_client(block.api_version, slot=gate) as client:
            seen = client.introspect()
        account = seen.account_uuid or _claimed_account(block)
        changed = sources.save_introspection(engine, source_id, seen.scopes, account)
        rate_gate.carry_over_account(engine, source_id, gate)
    except ThirdPartyConfigError as error:
        for claim in claims:
            streams.stop(engine, claim, error, block.fingerprint())
        raise
    except rate_gate.StoppedWaitingError:
        for claim in claims:
            streams.release(engine, claim)
        return Access((), {}, "The run was stopped before the token was checked.")
    except ThirdPartyGenericError as error:
        get_run_logger().warning("The token could not be introspected. Reading continues without it. %s", error)
        return Access(claims, {}, f"The server did not introspect the token: {error.message}")
    _read_again(engine, source_id, changed.gained)
    allowed = tuple(claim for claim in claims if seen.allows(claim.api))
    errors: dict[str, SourceError] = {}
    for claim in claims:
        if claim not in allowed:
            errors[claim.api] = api_errors.missing_scope_error(claim.api, seen.scopes)
            streams.stop(engine, claim, errors[claim.api], block.fingerprint())
    return Access(allowed, errors, _sentence(sorted(seen.scopes), account))


def _claimed_account(block: OnePasswordSource) -> str | None:
    """The account that the token itself names, where introspection does not (v1, older servers)."""
    claims = read_claims(block.credentials.api_token.get_secret_value())
    return claims.account_uuid if claims else None


def _read_again(engine: Engine, source_id: str, gained: frozenset[str]) -> None:
    """An API that stopped because of a missing scope is read again from the next run on, now that the scope exists."""
    for view in streams.of_source(engine, source_id, [api for api in Api if api.path in gained]):
        if view.stopped_fingerprint and view.error_code == "scope":
            streams.restart_api(engine, source_id, view.api)


def _sentence(scopes: list[str], account: str | None) -> str:
    whose = f" of account {account}" if account else ""
    return f"The token{whose} may read {', '.join(scopes) or 'nothing'}."
