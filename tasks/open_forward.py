"""Open a pair of source and SIEM: load and validate the block, open the store, claim the positions for this run."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import task

from blocks.errors import ThirdPartyConfigError
from blocks.store import sources
from blocks.store.forwarding import forward_pairs, positions
from blocks.store.forwarding.positions import PositionView
from blocks.store.forwarding.records import PositionClaim
from tasks import attempts
from tasks.support.claims import claim_each, release_each
from tasks.support.publish import publish
from tasks.support.siem import load_siem, source_store
from tasks.support.source import register_store

NOT_FOR_SIEM = "Nothing was sent: forwarding is not enabled. The source's field _siemForward is not true."
PAUSED = "Nothing was sent: forwarding to this SIEM is paused."


@dataclass(frozen=True, slots=True)
class OpenedForward:
    """What this run claimed, the APIs that are stopped in error, and the APIs that other runs forward.

    `reason_to_skip` says why this run sends nothing at all; it is empty if something may be sent.
    """

    source_id: str
    kind: str
    reason_to_skip: str = ""
    claims: tuple[PositionClaim, ...] = ()
    stopped: tuple[PositionView, ...] = ()
    elsewhere: tuple[PositionView, ...] = ()


def open_forward(source: str, siem: str, run: str) -> OpenedForward:
    """Load the block of `siem`, and claim the positions of its pair with `source` for the flow run `run`.

    A position that stopped in error stays stopped while the SIEM's block is the one with which it failed. A changed
    block takes every claim away and clears the errors. Raises SourceError after 90 minutes of attempts.
    """
    return attempts.run_inline(_step, run, source, siem, run)


@task(name="open forward", **attempts.TASK_OPTIONS)
def _step(source: str, siem: str, run: str) -> OpenedForward:
    with attempts.attempt_in_memory(run):
        return _open(source, siem, run)


def release_claims(source: str, opened: OpenedForward) -> None:
    """Release what a stopped run still holds."""
    release_each(opened.claims, lambda claim: positions.release(source_store(source), claim))


def _open(source: str, siem: str, run: str) -> OpenedForward:
    engine = source_store(source)
    source_id = sources.ids_by_name(engine).get(source)
    if source_id is None:
        raise ThirdPartyConfigError(
            f"There is no source named {source!r} in the store.",
            hint="Apply its file first. `onepassword-source status` lists your sources.",
            code="unknown-source",
        )
    register_store(source_id, engine)
    before = forward_pairs.find(engine, source_id, siem)
    if before is None:  # a late run must not create a removed pair again: it would send every event
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
    views = positions.of_pair(engine, pair.id)
    found = claim_each(views, fingerprint, lambda view: positions.acquire(engine, view, run))
    return OpenedForward(source_id, pair.kind, "", *found)
