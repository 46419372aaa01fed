"""Open a pair of source and SIEM: its block is loaded and valid, the store answers, and its streams are claimed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.store import sources
from blocks.store.forwarding import forward_pairs, positions
from blocks.store.forwarding.positions import PositionClaim, PositionView
from tasks import attempts
from tasks.support.publish import publish
from tasks.support.siem import load_siem, source_store
from tasks.support.source import register_store

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.forwarding.forward_pairs import ForwardPair

NOT_FOR_SIEM = "Nothing was sent: the source's field _siemForward is not true, so its events are not meant for a SIEM."
PAUSED = "Nothing was sent: forwarding to this SIEM is paused."


@dataclass(frozen=True, slots=True)
class OpenedForward:
    """What a run found: streams to forward, streams in error for good, and streams that other runs forward.

    `left`: why nothing is to be sent at all; empty where something may be.
    """

    source_id: str
    kind: str
    reason_to_skip: str = ""
    claims: tuple[PositionClaim, ...] = ()
    stopped: tuple[PositionView, ...] = ()
    elsewhere: tuple[PositionView, ...] = ()


def open_forward(source: str, siem: str, run: str) -> OpenedForward:
    """Load the block of `siem`, and claim the positions of the pair, which is known, for the flow run `run`.

    A position in error for good is left alone while the SIEM's block is the one that it failed with. A changed block
    takes every claim away and forgets the errors. Raises SourceError after 90 minutes of attempts.
    """
    return attempts.run_inline(_step, run, source, siem, run)


@task(name="open forward", **attempts.TASK_OPTIONS)
def _step(source: str, siem: str, run: str) -> OpenedForward:
    with attempts.attempt_in_memory(run):
        return _open(source, siem, run)


def release_claims(source: str, opened: OpenedForward) -> None:
    """Give back what a stopped run still holds, so that the next one need not wait until the claims lapse."""
    for claim in opened.claims:
        try:
            positions.release(source_store(source), claim)
        except SourceError as error:
            get_run_logger().warning(
                "The claim on %s could not be given back; it lapses by itself. %s", claim.api, error
            )


def _open(source: str, siem: str, run: str) -> OpenedForward:
    engine = source_store(source)
    source_id = sources.ids_by_name(engine).get(source)
    if source_id is None:
        raise ThirdPartyConfigError(
            f"There is no source named {source!r} in the store.",
            hint="It is there once it was applied; `onepassword-source status` lists those there are.",
            code="unknown-source",
        )
    register_store(source_id, engine)
    before = forward_pairs.find(engine, source_id, siem)
    if before is None:  # a run that is late must not bring back a pair that was removed, and send it all
        raise ThirdPartyConfigError(
            f"The events of {source!r} are not forwarded to {siem!r}.",
            hint="`onepassword-source siem add` makes the pair; `onepassword-source siem list` shows those there are.",
            code="unknown-siem",
        )
    try:
        block = load_siem(siem, before.kind)
    except ThirdPartyConfigError as error:
        positions.record_pair_failure(engine, before.id, error)
        publish(source_id)
        raise
    fingerprint = block.fingerprint()
    pair, _ = forward_pairs.save(
        engine, source_id, siem, block.kind, block.public_settings(), fingerprint, only_known=True
    )
    if pair.paused_ns is not None:
        return OpenedForward(source_id, block.kind, PAUSED)
    if not block.is_archive and not forward_pairs.source_metadata(engine, source_id).for_siem:
        return OpenedForward(source_id, block.kind, NOT_FOR_SIEM)
    return _claim(engine, pair, fingerprint, run)


def _claim(engine: Engine, pair: ForwardPair, fingerprint: str, run: str) -> OpenedForward:
    claims: list[PositionClaim] = []
    stopped: list[PositionView] = []
    elsewhere: list[PositionView] = []
    for view in positions.of_pair(engine, pair.id):
        if view.stopped_fingerprint == fingerprint:
            stopped.append(view)
        elif claim := positions.acquire(engine, view, run):
            claims.append(claim)
        else:
            elsewhere.append(view)
    return OpenedForward(pair.source_id, pair.kind, "", tuple(claims), tuple(stopped), tuple(elsewhere))
