"""Applies configurations of SIEMs: their blocks, their rows in the store, a deployment for each pair.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from blocks.errors import ThirdPartyConfigError
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError
from blocks.siem.configuration import KINDS, SiemConfig, block_class, build_block
from blocks.store import sources
from blocks.store.forwarding import forward_pairs
from deployments import forward_deployments
from deployments.prefect_api import block_documents
from deployments.prefect_api.deploy import Deployer, parallel_requests
from deployments.sources import open_default_store
from tasks.support.siem import block_names, load_siem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument
    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.store.forwarding.records import ForwardPair

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class AppliedSiem:
    """The result of `apply` for one SIEM: the change of its block, and of each source that is forwarded to it."""

    name: str
    kind: str
    change: Change
    sources: dict[str, Change]
    left: tuple[str, ...] = ()
    """Sources that were forwarded to it before and are no longer named. Their pairs stay."""
    not_for_siem: tuple[str, ...] = ()
    """Sources for which forwarding is disabled (`_siemForward` is not set)."""


def apply_all(configs: Sequence[SiemConfig], since_ns: int | None = None) -> Iterator[str | AppliedSiem]:
    """Create or update SIEMs one after the other. If nothing differs, nothing is written.

    Yields the name of each source when its pair is done, and the result of a SIEM when all its pairs are done. A new
    pair forwards everything in the store, or what was received since `since_ns` (ns since 1970). Raises
    ThirdPartyConfigError before anything is stored if a source is unknown, or the name belongs to a SIEM of another
    type. Whatever was applied before a later error stays.
    """
    with get_client(sync_client=True) as client:
        applying = _SiemApplier(client, configs)
        for config in configs:
            yield from applying.apply(config, since_ns)


def adopt(name: str, sources_: Sequence[str], since_ns: int | None = None) -> AppliedSiem:
    """Forward sources to a SIEM whose block a person has created in the UI, under exactly this name.

    Raises ThirdPartyConfigError if there is no such block, or it is invalid.
    """
    block = load_siem(name)
    config = SiemConfig(name, block.kind, tuple(sources_), {})
    with get_client(sync_client=True) as client:
        pairs = _PairApplier(client, [config])
        changes = {source: pairs.apply(source, config, block, since_ns) for source in config.sources}
        return _result(pairs.engine, config, block, "unchanged", changes)


def run_new_pairs(applied: Sequence[AppliedSiem]) -> int:
    """Forward each new or changed pair now, one a second. Without it, the next collection starts the first run.

    Returns how many runs were created.
    """
    new = [(source, one.name) for one in applied for source, change in one.sources.items() if change != "unchanged"]
    for place, (source, siem) in enumerate(new):
        forward_deployments.run_now(source, siem, after_seconds=place)
    return len(new)


class _PairApplier:
    """The pairs of some SIEMs, through one connection. The existing ones are read at the start.

    Raises ThirdPartyConfigError if a source is unknown.
    """

    def __init__(self, client: SyncPrefectClient, configs: Sequence[SiemConfig]) -> None:
        self.engine = open_default_store()
        self._ids = _source_ids(self.engine, configs)
        self._deployer = Deployer(client)
        wanted = [(self._ids[source], source, config.name) for config in configs for source in config.sources]
        self._deployer.prefetch(forward_deployments.spec_of(*one) for one in wanted)

    def apply(self, source: str, config: SiemConfig, block: SiemBlock, since_ns: int | None) -> Change:
        source_id = self._ids[source]
        before = forward_pairs.find(self.engine, source_id, config.name)
        pair, changed = forward_pairs.save(
            self.engine,
            source_id,
            config.name,
            config.kind,
            block.public_settings(),
            block.fingerprint(),
            since_ns=since_ns,
        )
        forward_deployments.deploy(self._deployer, pair)
        return "created" if before is None else "updated" if changed else "unchanged"


class _SiemApplier:
    def __init__(self, client: SyncPrefectClient, configs: Sequence[SiemConfig]) -> None:
        self._client = client
        self._pairs = _PairApplier(client, configs)
        self._documents = _documents(client, configs)
        for config in configs:
            _require_kind(config, self._documents)

    def apply(self, config: SiemConfig, since_ns: int | None) -> Iterator[str | AppliedSiem]:

        block = build_block(config)
        change = self._save(config, block)
        pairs: dict[str, Change] = {}
        with ThreadPoolExecutor(parallel_requests()) as pool:
            put = partial(self._pairs.apply, config=config, block=block, since_ns=since_ns)
            for source, made in zip(config.sources, pool.map(put, config.sources), strict=True):
                pairs[source] = made
                yield source
        yield _result(self._pairs.engine, config, block, change, pairs)

    def _save(self, config: SiemConfig, block: SiemBlock) -> Change:
        found = self._documents.get((config.name, config.kind))
        if found is not None and _fingerprint(config.kind, found) == block.fingerprint():
            return "unchanged"
        block.register_type_and_schema()
        block_documents.save(self._client, block, block_name(config.name), found.id if found else None)
        return "created" if found is None else "updated"


def set_paused(engine: Engine, pair: ForwardPair, *, paused: bool) -> bool:
    """Pause or resume a pair, first in the store. True if that was a change."""
    changed = forward_pairs.set_paused(engine, pair, paused=paused)
    forward_deployments.set_paused(pair.source, pair.siem, paused=paused)
    return changed


def remove(engine: Engine, pair: ForwardPair) -> bool:
    """Remove a pair. The last pair of a SIEM takes the block with it, secrets included; True if that was so."""
    forward_deployments.set_paused(pair.source, pair.siem, paused=True)
    forward_deployments.remove_deployment(pair.source, pair.siem)
    forward_pairs.remove(engine, pair)
    return not forward_pairs.find_all(engine, pair.siem) and _remove_block(pair.siem, pair.kind)


def _result(
    engine: Engine, config: SiemConfig, block: SiemBlock, change: Change, pairs: dict[str, Change]
) -> AppliedSiem:
    known = forward_pairs.find_all(engine, config.name)
    closed = [pair.source for pair in known if not forward_pairs.source_metadata(engine, pair.source_id).for_siem]
    return AppliedSiem(
        name=config.name,
        kind=config.kind,
        change=change,
        sources=pairs,
        left=tuple(sorted({pair.source for pair in known} - set(config.sources))),
        not_for_siem=() if block.is_archive else tuple(closed),
    )


def _source_ids(engine: Engine, configs: Sequence[SiemConfig]) -> dict[str, str]:
    known = sources.ids_by_name(engine)
    named = dict.fromkeys(name for config in configs for name in config.sources)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise ThirdPartyConfigError(
            f"There is no source named {', '.join(map(repr, unknown))}.",
            hint="Apply its configuration first; `onepassword-source list` shows the sources.",
            code="unknown-source",
        )
    return {name: known[name] for name in named}


def _documents(client: SyncPrefectClient, configs: Sequence[SiemConfig]) -> dict[tuple[str, str], BlockDocument]:
    """The block of each SIEM by name and type. All types are read, because a name belongs to one type only."""
    kinds = {block_class(kind).get_block_type_slug(): kind for kind in KINDS}
    named = {config.name: block_names(config.name) for config in configs}
    names = [name for several in named.values() for name in several]
    read = block_documents.read_named(client, list(kinds), names, include_secrets=True)
    there = {(one.name, kinds[one.block_type.slug]): one for one in read if one.block_type}
    return {
        (siem, kind): there[name, kind]
        for siem, several in named.items()
        for name in reversed(several)  # the first one counts
        for kind in KINDS
        if (name, kind) in there
    }


def _require_kind(config: SiemConfig, there: Mapping[tuple[str, str], BlockDocument]) -> None:
    for kind in KINDS:
        if kind != config.kind and (config.name, kind) in there:
            raise ThirdPartyConfigError(
                f"There is already a SIEM named {config.name!r}, of the type {kind}.",
                hint="Choose another name, or remove that one with `onepassword-source siem remove`.",
                code="name-taken",
            )


def _fingerprint(kind: str, document: BlockDocument) -> str | None:
    """The fingerprint of the block in a document; None if the block is invalid."""
    try:
        return block_class(kind).model_validate(document.data).fingerprint()
    except ConfigurationError:
        return None


def _remove_block(name: str, kind: str) -> bool:
    """True if there was one."""
    removed = False
    with get_client(sync_client=True) as client:
        for document in block_names(name):
            with suppress(ObjectNotFound):
                slug = block_class(kind).get_block_type_slug()
                found = client.read_block_document_by_name(document, slug, include_secrets=False)
                client.delete_block_document(found.id)
                removed = True
    return removed
