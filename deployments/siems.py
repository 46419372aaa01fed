"""Make SIEMs what a configuration says: their blocks, their rows in the store, a deployment for each pair.

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
    """What `apply` did with one SIEM: of its block, and of each source whose events it gets."""

    name: str
    kind: str
    change: Change
    sources: dict[str, Change]
    left: tuple[str, ...] = ()
    """Sources that it got events of before, and that are not named any more; they stay."""
    not_for_siem: tuple[str, ...] = ()
    """Sources whose events are not meant for a SIEM."""


def apply_all(configs: Sequence[SiemConfig], since_ns: int | None = None) -> Iterator[str | AppliedSiem]:
    """Create or update SIEMs one after the other; if nothing differs, nothing is written.

    Gives the name of each source when its pair is done, and what was done with a SIEM when all of its are. A new pair
    gets all that the store holds, or what was received since `since_ns` (ns since 1970).
    Raises ThirdPartyConfigError before anything is stored if a source is not known, or the name of a SIEM is that
    of one of another kind. What is applied before a later error stays.
    """
    with get_client(sync_client=True) as client:
        applying = _SiemApplier(client, configs)
        for config in configs:
            yield from applying.apply(config, since_ns)


def adopt(name: str, sources_: Sequence[str], since_ns: int | None = None) -> AppliedSiem:
    """Forward sources to a SIEM whose block a person has made in the UI, under that very name.

    Raises ThirdPartyConfigError if there is no such block, or it is not valid.
    """
    block = load_siem(name)
    config = SiemConfig(name, block.kind, tuple(sources_), {})
    with get_client(sync_client=True) as client:
        pairs = _PairApplier(client, [config])
        changes = {source: pairs.put(source, config, block, since_ns) for source in config.sources}
        return _result(pairs.engine, config, block, "unchanged", changes)


class _PairApplier:
    """The pairs of some SIEMs, through one connection; what is there is read at the start.

    Raises ThirdPartyConfigError if a source is not known.
    """

    def __init__(self, client: SyncPrefectClient, configs: Sequence[SiemConfig]) -> None:
        self.engine = open_default_store()
        self._ids = _source_ids(self.engine, configs)
        self._deployer = Deployer(client)
        wanted = [(self._ids[source], source, config.name) for config in configs for source in config.sources]
        self._deployer.prefetch(forward_deployments.spec_of(*one) for one in wanted)

    def put(self, source: str, config: SiemConfig, block: SiemBlock, since_ns: int | None) -> Change:
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
            put = partial(self._pairs.put, config=config, block=block, since_ns=since_ns)
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
    """Pause or resume a pair, in the store first. Whether that was a change."""
    changed = forward_pairs.set_paused(engine, pair, paused=paused)
    forward_deployments.set_paused(pair.source, pair.siem, paused=paused)
    return changed


def remove(engine: Engine, pair: ForwardPair) -> bool:
    """Remove a pair; the block goes with its last one, and is then gone with its secrets. Whether that was so."""
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
            hint="Apply its configuration first; `onepassword-source list` shows those there are.",
            code="unknown-source",
        )
    return {name: known[name] for name in named}


def _documents(client: SyncPrefectClient, configs: Sequence[SiemConfig]) -> dict[tuple[str, str], BlockDocument]:
    """The block of each SIEM by its name and kind: of all kinds, since a name is that of one alone."""
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
                f"There is a SIEM named {config.name!r} already, of the kind {kind}.",
                hint="Choose another name, or remove that one with `onepassword-source siem remove`.",
                code="name-taken",
            )


def _fingerprint(kind: str, document: BlockDocument) -> str | None:
    """That of the block in a document; None if it is not valid."""
    try:
        return block_class(kind).model_validate(document.data).fingerprint()
    except ConfigurationError:
        return None


def _remove_block(name: str, kind: str) -> bool:
    """Whether there was one."""
    removed = False
    with get_client(sync_client=True) as client:
        for document in block_names(name):
            with suppress(ObjectNotFound):
                slug = block_class(kind).get_block_type_slug()
                found = client.read_block_document_by_name(document, slug, include_secrets=False)
                client.delete_block_document(found.id)
                removed = True
    return removed
