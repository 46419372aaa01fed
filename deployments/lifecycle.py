"""Restarts, stops, starts, renames and deletes a source, in its store and on the Prefect server.

Each operation can be killed at any instruction: a second call completes it. It writes to the store first, so that
unfinished work on the Prefect server can be seen. This module imports Prefect, so call `server_access.activate` before
it is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks import settings
from blocks.command_line import command_line
from blocks.config.source_file import with_token
from blocks.errors import ThirdPartyConfigError
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError
from blocks.store import lifecycle as store
from blocks.store.forwarding import forward_pairs
from blocks.store.sources import save
from deployments import forward_deployments, sources, token_check
from deployments.prefect_api import source_runs
from deployments.prefect_api.deploy import deployments_of, remove_deployment
from tasks.support.source import open_store, source_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument
    from prefect.client.schemas.responses import DeploymentResponse
    from sqlalchemy import Engine

    from blocks.config.source_config import SourceConfig
    from blocks.source import OnePasswordSource
    from blocks.store.lifecycle import SourceIdentity
    from deployments.token_check import TokenCheck

SOURCE, CREDENTIALS = "1password-source", "1password-credentials"
DELETED = "The source was deleted."


@dataclass(frozen=True)
class ManagedSource:
    """A source: its record in the store, the store, and its block if there is a valid one."""

    known: SourceIdentity
    engine: Engine
    block: OnePasswordSource | None

    @property
    def name(self) -> str:
        return self.known.name

    def valid_block(self) -> OnePasswordSource:
        """The block. Raises ThirdPartyConfigError if it is missing or invalid."""
        block = sources.find(self.name)
        if block is None:
            raise ThirdPartyConfigError(
                f"The Prefect server has no configuration of source {self.name!r}.",
                hint="Apply its file again with `onepassword-source apply FILE`; its events and cursors stay.",
                code="no-block",
            )
        return block.validated()


@dataclass(frozen=True)
class Deletion:
    """The result of `delete`. `kept` counts the remaining events; `purged` is what was removed, None if events stay."""

    name: str
    was_deleted: bool
    kept: int
    purged: dict[str, Any] | None


def locate(name: str) -> ManagedSource:
    """The source with this name that was not deleted. Completes an interrupted rename first.

    Raises ThirdPartyConfigError if there is none.
    """
    known, engine, block = _find(name)
    if known is None and block is not None:  # made in the UI, and never run
        known = _recorded(engine, block)
    if known is None:
        raise _unknown_source(name)
    if known.deleted_ns is not None:
        raise ThirdPartyConfigError(
            f"Source {name!r} was deleted.",
            hint="`onepassword-source apply FILE` brings it back, with its events and cursors.",
            code="deleted",
        )
    if known.name != name:
        raise ThirdPartyConfigError(
            f"Source {name!r} is being renamed to {known.name!r}.",
            hint=f"Complete it with `{command_line('rename', name, known.name)}`.",
            code="renaming",
        )
    _complete_renaming(engine, known)
    return ManagedSource(known, engine, block or _block(name))


def restart(source: ManagedSource) -> None:
    """End the runs that are under way, and clear all errors. The next run reads every API."""
    source_runs.stop_runs(source.engine, source.known.id, source_runs.SHORT_SECONDS)
    store.restart(source.engine, source.known)


def run_now(source: ManagedSource) -> UUID:
    """Collect the source now, on a worker. Returns the id of the run."""
    if source.block is not None:
        stopped = source.known.paused_ns is not None
        sources.deploy(source.name, source.block.description or None, source.known.id, paused=stopped)
    return source_runs.create_run(source.name)


def stop(source: ManagedSource) -> bool:
    """Stop the schedule, and end the runs after the current page. False if one did not end in time."""
    store.pause(source.engine, source.known)
    source_runs.set_paused(source.name, paused=True)
    return source_runs.stop_runs(source.engine, source.known.id)


def start(source: ManagedSource) -> None:
    """Resume the schedule."""
    store.resume(source.engine, source.known)
    block = source.valid_block()
    sources.deploy(source.name, block.description or None, source.known.id)
    source_runs.set_paused(source.name, paused=False)


def rename(old: str, new: str) -> None:
    """Rename a source. Its id, events and cursors stay, and so does a pause.

    Raises ThirdPartyConfigError if there is no such source, or the new name is taken or invalid.
    """
    begun = _interrupted_renaming(old, new)
    if begun is None:
        source = locate(old)
        _require_free(new, source)
        store.rename(source.engine, source.known, new, paused=source_runs.is_paused(old))
        begun = replace(source, known=replace(source.known, name=new))
    _complete_renaming(begun.engine, begun.known)


def delete(name: str, *, purge: bool, removed: Callable[[int], None] = lambda _: None) -> Deletion:
    """Remove a source: its runs end after the current page, then its deployment and its blocks go.

    Its events stay, unless `purge` is True. `removed` is called with the number of rows that a purge has removed.
    """
    known, engine, _ = _find(name)
    if known is None:
        return _delete_remains(name)
    was_deleted = known.deleted_ns is not None
    if not was_deleted:
        _retire(locate(name))
    events = store.count_events(engine, known.id)
    done = store.purge(engine, store.find_by_id(engine, known.id) or known, removed) if purge else None
    remove_deployment(name)
    remove_blocks(name)
    return Deletion(name, was_deleted, 0 if purge else events, done)


def check_token(source: ManagedSource, token: str, *, unchecked: bool = False) -> TokenCheck:
    """Introspect the token that is to replace the one of `source`; nothing is changed. Raises as `check_config`."""
    config = with_token(source.valid_block().config(), token, allowed_hosts=settings.allowed_hosts())
    return token_check.check_config(config, source.known.account_uuid, unchecked=unchecked)


def replace_token(source: ManagedSource, token: str, *, checked: bool = True) -> None:
    """Put the token into the encrypted block, end the runs that use the old one, and clear the errors."""
    block = source.valid_block()
    block.credentials.api_token = SecretStr(token)
    name = block.credentials._block_document_name  # noqa: SLF001 - Prefect has no other way to read it
    block.credentials.save(name or block_name(source.name), overwrite=True)
    if name is None:
        block.save(block_name(source.name), overwrite=True)
    source_runs.stop_runs(source.engine, source.known.id, source_runs.SHORT_SECONDS)
    save(source.engine, source_record(block))
    store.restart(source.engine, source.known, "token", checked=checked)


def remove_blocks(name: str) -> None:
    """Remove the block of a source, and its credentials if no other source uses them.

    The block of an event store stays: it may be shared.
    """
    with get_client(sync_client=True) as client:
        found = client.read_block_documents_by_type(SOURCE, include_secrets=False)
        own = [one for one in found if one.name == block_name(name)]
        used = {_credentials_of(one) for one in found if one not in own}
        named = client.read_block_documents_by_type(CREDENTIALS, include_secrets=False)
        theirs = {one.id for one in named if one.name == block_name(name)} | {_credentials_of(one) for one in own}
        # The credentials first: without the source's block nothing says which they were.
        for document in [*theirs, *(one.id for one in own)]:
            if document is not None and document not in used:
                _remove(client, document)


def _credentials_of(document: BlockDocument) -> UUID | None:

    reference = document.block_document_references.get("credentials") or {}
    found = (reference.get("block_document") or {}).get("id")
    return UUID(str(found)) if found else None


def _remove(client: SyncPrefectClient, document: UUID) -> None:

    try:
        client.delete_block_document(document)
    except ObjectNotFound:
        return


def _find(name: str) -> tuple[SourceIdentity | None, Engine, OnePasswordSource | None]:
    """The record in the store, the store (that of the block, if it names one), and the block if it is valid.

    A block that still has the former name of a source leads to that source.
    """
    block = _block(name)
    engine = sources.open_default_store() if block is None else open_store(block)
    known = None if block is None else store.find_by_id(engine, block.source_id)
    return known or store.find(engine, name), engine, block


def _block(name: str) -> OnePasswordSource | None:
    try:
        return sources.find(name)
    except ConfigurationError:
        return None


def _recorded(engine: Engine, block: OnePasswordSource) -> SourceIdentity | None:

    save(engine, source_record(block.validated()))
    return store.find_by_id(engine, block.source_id)


def _interrupted_renaming(old: str, new: str) -> ManagedSource | None:
    """The source whose rename from `old` to `new` was interrupted. Its block has either name."""
    for name in (new, old):
        known, engine, block = _find(name)
        if known is not None and known.name == new and store.former_name(engine, known.id) == old:
            return ManagedSource(known, engine, block)
    return None


def _unknown_source(name: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"There is no source named {name!r}.",
        hint="`onepassword-source list` shows the sources; `onepassword-source apply FILE` creates one.",
        code="unknown-source",
    )


def _require_free(new: str, source: ManagedSource) -> None:
    block = source.valid_block()
    _renamed(block.config(), new)
    other = store.find(source.engine, new)
    if other is not None and other.deleted_ns is not None:
        raise ThirdPartyConfigError(
            f"The name {new!r} belongs to a deleted source whose events are kept.",
            hint=f"Choose another name, or remove them with `{command_line('delete', new, options=('--purge',))}`.",
            code="name-taken",
        )
    if other is not None or sources.exists(new):
        raise ThirdPartyConfigError(
            f"There is already a source named {new!r}.", hint="Choose another name.", code="name-taken"
        )


def _renamed(config: SourceConfig, new: str) -> SourceConfig:
    """The configuration under its new name. Raises ConfigurationError if the name is invalid."""
    token = config.api_token.get_secret_value() if config.api_token else ""
    return with_token(replace(config, name=new), token, allowed_hosts=settings.allowed_hosts())


def _complete_renaming(engine: Engine, known: SourceIdentity) -> None:
    """Bring the Prefect server to the name that the store has."""
    old = store.former_name(engine, known.id)
    if old is None:
        return
    block = _block(old)
    is_free = block is None or block.source_id == known.id  # else another source uses the former name by now
    if is_free:
        source_runs.set_paused(old, paused=True)
    source_runs.stop_runs(engine, known.id)
    if block is not None and is_free and not sources.exists(known.name):
        _save_as(block, known.name)
    if is_free:
        _move_deployments(engine, old, known)
        remove_blocks(old)
    is_stopped = (store.find_by_id(engine, known.id) or known).paused_ns is not None
    source_runs.set_paused(known.name, paused=is_stopped)
    store.finish_renaming(engine, known)


def _save_as(block: OnePasswordSource, new: str) -> None:
    """Credentials with a name of their own stay as they are. Others are named after the source."""
    own = block.credentials._block_document_name in (None, block_name(block.name))  # noqa: SLF001 - Prefect has no other way
    renamed = type(block).from_config(_renamed(block.config(), new), block.source_id)
    renamed.store = block.store
    if own:
        renamed.credentials.save(block_name(new), overwrite=True)
    else:
        renamed.credentials = block.credentials
    renamed.save(block_name(new), overwrite=True)


def _move_deployments(engine: Engine, old: str, known: SourceIdentity) -> None:
    """New deployments start paused, so that there are never two that run. Waiting runs are moved to them."""
    block = _block(known.name)
    description = block.description or None if block else None
    with get_client(sync_client=True) as client:
        like = deployments_of(client, old)
        sources.deploy(known.name, description, known.id, paused=True, like=like)
        now = {one.entrypoint: one for one in deployments_of(client, known.name)}
        moves = [(one, now.get(one.entrypoint)) for one in like]
        siems = [pair.siem for pair in forward_pairs.find_all(engine, source=known.name)]
        moves += [
            (one, forward_deployments.find(client, known.name, siem))
            for siem in siems
            for one in _deployment_under(client, old, siem)
        ]
        for was, new in moves:
            if new is not None:
                source_runs.move_waiting(client, was, new, (old, known.name))
    remove_deployment(old)
    for siem in siems:
        forward_deployments.remove_deployment(old, siem)


def _deployment_under(client: SyncPrefectClient, old: str, siem: str) -> list[DeploymentResponse]:
    found = forward_deployments.find(client, old, siem)
    return [found] if found else []


def _retire(source: ManagedSource) -> None:
    """The steps of a deletion up to the mark in the store. After that mark no run can write."""
    store.begin_deletion(source.engine, source.known)
    source_runs.set_paused(source.name, paused=True)
    source_runs.stop_runs(source.engine, source.known.id)
    source_runs.cancel_waiting(source.name, DELETED)
    remove_deployment(source.name)
    forward_deployments.remove_all(forward_pairs.find_all(source.engine, source=source.name), source.name)
    store.finish_deletion(source.engine, source.known)


def _delete_remains(name: str) -> Deletion:
    """The store does not know the source: it was purged or lost. Remove what the Prefect server may still have."""
    if not sources.exists(name):
        raise _unknown_source(name)
    remove_deployment(name)
    remove_blocks(name)
    return Deletion(name, was_deleted=True, kept=0, purged=None)
