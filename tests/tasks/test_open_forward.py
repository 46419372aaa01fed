"""The step `open forward`: what a run claims of a pair, why it sends nothing, and what is final."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr
from support.forwarding import SIEM, Pair
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.siem.archive.block import Archive
from blocks.siem.webhook.block import Webhook
from blocks.store import sources
from blocks.store.forwarding import forward_pairs, positions
from tasks import attempts, open_forward
from tasks.open_forward import NOT_FOR_SIEM, PAUSED, OpenedForward
from tasks.support import publish, siem, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock


class Blocks:
    """The block of the SIEM, as Prefect has it."""

    block: SiemBlock | None = Webhook(url=SecretStr("https://hooks.example.org/x"))

    def load(self, _document: str, kind: str) -> SiemBlock | None:
        return self.block if self.block is not None and self.block.kind == kind else None


@pytest.fixture
def blocks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocks]:
    held = Blocks()
    monkeypatch.setattr(siem, "_loaded", held.load)
    monkeypatch.setattr(open_forward, "source_store", lambda _: engine)
    monkeypatch.setattr(source, "_of_source", {})
    monkeypatch.setattr(publish, "emit_to_prefect", lambda _: True)
    with disable_run_logger():
        yield held
    attempts.forget("run")


@pytest.fixture
def pair(engine: Engine, blocks: Blocks) -> Pair:
    assert blocks.block
    return Pair.create(engine, fingerprint=blocks.block.fingerprint())


def open_(run: str = "run", name: str = SIEM) -> OpenedForward:
    return open_forward._step.fn(SOURCE.name, name, run)


def test_each_position_of_the_pair_is_claimed(pair: Pair) -> None:
    opened = open_()
    assert (opened.source_id, opened.kind, opened.reason_to_skip) == (SOURCE.id, "webhook", "")
    assert {claim.api for claim in opened.claims} == set(Api)
    assert (opened.stopped, opened.elsewhere) == ((), ())
    assert source.store_if_open(SOURCE.id) is pair.engine


def test_what_another_run_holds_is_left_to_it_until_it_is_released(pair: Pair) -> None:
    first = open_("first")
    second = open_("second")
    assert (second.claims, {view.api for view in second.elsewhere}) == ((), set(Api))
    open_forward.release_claims(SOURCE.name, first)
    assert {claim.api for claim in open_("third").claims} == set(Api)


def test_a_position_in_error_stays_stopped_until_the_block_changes(pair: Pair, blocks: Blocks) -> None:
    assert blocks.block
    positions.stop(pair.engine, pair.claim(), ThirdPartyConfigError("403"), blocks.block.fingerprint())
    opened = open_()
    assert [view.api for view in opened.stopped] == [Api.AUDIT]
    assert {claim.api for claim in opened.claims} == {Api.SIGN_IN, Api.ITEM_USAGE}
    blocks.block = Webhook(url=SecretStr("https://hooks.example.org/y"))
    assert {claim.api for claim in open_("next").claims} == set(Api), "also those that a run held"


def test_a_paused_pair_sends_nothing(pair: Pair) -> None:
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    assert open_() == OpenedForward(SOURCE.id, "webhook", PAUSED)


def test_without_forwarding_enabled_only_an_archive_gets_events(pair: Pair, blocks: Blocks) -> None:
    sources.save(pair.engine, replace(SOURCE, fields={}))
    assert open_() == OpenedForward(SOURCE.id, "webhook", NOT_FOR_SIEM)
    blocks.block = Archive(url="s3://bucket")
    forward_pairs.save(pair.engine, SOURCE.id, "vault", "archive", {}, blocks.block.fingerprint())
    opened = open_(name="vault")
    assert (opened.kind, opened.reason_to_skip, len(opened.claims)) == ("archive", "", 3)


@pytest.mark.parametrize(
    ("source_name", "siem_name", "code"), [("unknown", SIEM, "unknown-source"), (SOURCE.name, "other", "unknown-siem")]
)
def test_an_unknown_source_or_pair_is_final_and_creates_none(
    pair: Pair, source_name: str, siem_name: str, code: str
) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        open_forward._step.fn(source_name, siem_name, "run")
    assert (raised.value.code, raised.value.retry_in) == (code, None)
    assert len(forward_pairs.find_all(pair.engine)) == 1


@pytest.mark.parametrize("block", [None, Webhook(url=SecretStr("http://hooks.example.org"))])
def test_a_block_that_is_gone_or_not_valid_is_recorded_for_the_pair(
    pair: Pair, blocks: Blocks, block: SiemBlock | None
) -> None:
    blocks.block = block
    with pytest.raises(ThirdPartyConfigError):
        open_()
    assert pair.health_events() == [("ThirdPartyConfigError", "Error", "UnHealthy")]


def test_a_store_that_does_not_answer_is_retried(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: str) -> Engine:
        raise FirstPartyGenericError("The store does not answer.")

    monkeypatch.setattr(open_forward, "source_store", away)
    with pytest.raises(FirstPartyGenericError) as raised:
        open_()
    assert raised.value.retry_in is not None
