"""The step `open source`: what it saves, which streams it claims, and when it takes claims away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import sources, streams
from tasks.open_source import _step, release_claims
from tasks.support import source as loading

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.stored_block import StoredBlock

    from tasks.open_source import OpenedSource


def open_source(run: str = "run") -> OpenedSource:
    return _step.fn(SOURCE.name, run)


def test_the_source_is_saved_and_each_of_its_streams_is_claimed(engine: Engine, stored: StoredBlock) -> None:
    opened = open_source()
    assert sources.ids_by_name(engine) == {SOURCE.name: SOURCE.id}
    assert [claim.api for claim in opened.claims] == list(Api)
    assert (opened.stopped, opened.elsewhere) == ((), ())
    assert {view.holder for view in streams.of_source(engine, SOURCE.id, tuple(Api))} == {"run"}


def test_only_configured_apis_are_claimed(stored: StoredBlock) -> None:
    stored.edit(supported_apis=["audit"])
    assert [claim.api for claim in open_source().claims] == [Api.AUDIT]


def test_what_another_run_holds_is_left_to_it(stored: StoredBlock) -> None:
    first = open_source("first")
    second = open_source("second")
    assert second.claims == ()
    assert [view.holder for view in second.elsewhere] == ["first"] * 3
    release_claims(first)
    assert len(open_source("third").claims) == 3


def test_a_stream_in_error_stays_stopped_until_the_configuration_changes(engine: Engine, stored: StoredBlock) -> None:
    opened = open_source()
    audit = next(claim for claim in opened.claims if claim.api is Api.AUDIT)
    fingerprint = loading.load_source(SOURCE.name).fingerprint()
    streams.stop(engine, audit, ThirdPartyConfigError("It said no.", code="401"), fingerprint)
    release_claims(opened)
    again = open_source("again")
    assert [view.api for view in again.stopped] == [Api.AUDIT]
    assert [claim.api for claim in again.claims] == [Api.SIGN_IN, Api.ITEM_USAGE]
    stored.edit(collect_from="7d")
    changed = open_source("changed")
    assert len(changed.claims) == 3, "a changed configuration takes the claims away, too"
    assert changed.stopped == ()


def test_the_block_is_loaded_once_for_the_steps_that_follow(stored: StoredBlock) -> None:
    open_source()
    loading.shared_source(SOURCE.name)
    assert stored.loads == 1


def test_an_unknown_source_is_final(stored: StoredBlock) -> None:
    with pytest.raises(ThirdPartyConfigError, match="There is no source named 'missing'") as raised:
        _step.fn("missing", "run")
    assert raised.value.retry_in is None


def test_a_prefect_that_does_not_answer_is_retried(stored: StoredBlock) -> None:
    stored.failure = httpx.ConnectError("no")
    with pytest.raises(FirstPartyGenericError) as raised:
        open_source()
    assert raised.value.retry_in
    stored.failure = None
    assert open_source().claims


def test_release_without_an_opened_store_does_nothing(stored: StoredBlock) -> None:
    opened = open_source()
    loading._of_source.clear()
    release_claims(opened)
