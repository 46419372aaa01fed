"""The step `authenticate`: which streams a token may read, and what a failed introspection stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
import pytest
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError, TokenError
from blocks.events_api.models import Api
from blocks.store import streams
from deployments.sandbox.process import running_sandbox
from tasks import authenticate, open_source
from tasks.support import rate_gate
from tasks.support import source as loading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from support.stored_block import StoredBlock

    from blocks.store.streams import StreamClaim, StreamView
    from deployments.sandbox.process import SandboxProcess
    from tasks.authenticate import Access


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with running_sandbox(events=9) as running:
        yield running


@pytest.fixture
def claims(server: SandboxProcess, stored: StoredBlock) -> tuple[StreamClaim, ...]:
    server.clear_faults()
    stored.edit(credentials={"base_url": server.base_url, "api_token": server.token})
    return open_source._step.fn(SOURCE.name, "run").claims


def check(claims: tuple[StreamClaim, ...]) -> Access:
    return authenticate._step.fn("key", SOURCE.name, SOURCE.id, claims)


def views(engine: Engine) -> dict[Api, StreamView]:
    return {view.api: view for view in streams.of_source(engine, SOURCE.id, tuple(Api))}


def test_a_valid_token_may_read_all_and_the_sentence_says_so(claims: tuple[StreamClaim, ...]) -> None:
    access = check(claims)
    assert access.claims == claims
    assert access.errors == {}
    assert access.sentence.endswith("may read auditevents, itemusages, signinattempts.")


def test_a_missing_scope_stops_its_stream_only(
    engine: Engine, claims: tuple[StreamClaim, ...], server: SandboxProcess
) -> None:
    server.fault("lost_scope", api="auditevents")
    access = check(claims)
    assert [claim.api for claim in access.claims] == [Api.SIGN_IN, Api.ITEM_USAGE]
    assert {api: error.code for api, error in access.errors.items()} == {"audit": "scope"}
    found = views(engine)
    assert (found[Api.AUDIT].holder, found[Api.SIGN_IN].holder) == (None, "run")
    assert found[Api.AUDIT].stopped_fingerprint


def test_a_scope_that_is_granted_again_restarts_its_stream(
    engine: Engine, claims: tuple[StreamClaim, ...], server: SandboxProcess
) -> None:
    server.fault("lost_scope", api="auditevents")
    check(claims)
    server.clear_faults()
    check(tuple(claim for claim in claims if claim.api is not Api.AUDIT))
    assert views(engine)[Api.AUDIT].stopped_fingerprint is None


def test_a_rejected_token_stops_every_stream_and_the_block_is_loaded_again(
    engine: Engine, claims: tuple[StreamClaim, ...], server: SandboxProcess
) -> None:
    server.fault("revoked")
    with pytest.raises(TokenError):
        check(claims)
    assert {(view.holder, bool(view.stopped_fingerprint)) for view in views(engine).values()} == {(None, True)}
    assert loading._shared == {}


def test_a_server_that_does_not_answer_stops_nothing(
    engine: Engine, claims: tuple[StreamClaim, ...], server: SandboxProcess
) -> None:
    server.fault("503", api="introspect")
    access = check(claims)
    assert access.claims == claims
    assert access.sentence.startswith("The server did not introspect the token: ")
    assert {view.holder for view in views(engine).values()} == {"run"}


def test_a_stop_while_it_waits_for_its_slot_releases_the_streams(
    engine: Engine, claims: tuple[StreamClaim, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise rate_gate.StoppedWaitingError

    monkeypatch.setattr(authenticate.rate_gate, "open_gate", lambda *_: stopped)
    access = check(claims)
    assert access.claims == ()
    assert {view.holder for view in views(engine).values()} == {None}


def test_an_account_that_changed_is_an_error_of_the_configuration(
    claims: tuple[StreamClaim, ...], stored: StoredBlock, server: SandboxProcess
) -> None:
    check(claims)
    with running_sandbox(events=9, seed=2) as other:
        stored.edit(credentials={"base_url": other.base_url, "api_token": other.token})
        loading.forget_source(SOURCE.name)
        with pytest.raises(ThirdPartyConfigError, match="account"):
            check(claims)


def test_without_an_account_in_the_introspection_that_of_the_token_counts(stored: StoredBlock) -> None:
    token = jwt.encode({"1password.com/auuid": "ACCOUNT"}, "a key of thirty-two bytes or more!!", algorithm="HS256")
    stored.edit(credentials={"base_url": "http://127.0.0.1:9", "api_token": token})
    assert authenticate._claimed_account(loading.load_source(SOURCE.name)) == "ACCOUNT"
