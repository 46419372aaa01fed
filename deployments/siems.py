"""Make SIEMs what a configuration says: their blocks, their rows in the store, a deployment for each pair.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from blocks.errors import ThirdPartyConfigError
from blocks.faults import ConfigurationError
from blocks.names import block_name
from blocks.siem.kinds import KINDS, block_class
from blocks.siem.siem_config import SiemConfig
from blocks.store import forwards, sources
from deployments import forwarding
from deployments.sources import open_default_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.store.forwards import Known

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class Applied:
    """What `apply` did with one SIEM: of its block, and of each source whose events it gets."""

    name: str
    kind: str
    change: Change
    sources: dict[str, Change]
    left: tuple[str, ...] = ()
    """Sources that it got events of before, and that are not named any more; they stay."""
    not_for_siem: tuple[str, ...] = ()
    """Sources whose events are not meant for a SIEM."""


def apply(config: SiemConfig, since_ns: int | None = None) -> Applied:
    """Create or update one SIEM; where nothing differs, nothing is written.

    A new pair gets all that the store holds, or what was received since `since_ns` (ns since 1970).
    Call `require` before. Raises ThirdPartyConfigError where a source is not known.
    """
    from blocks.siem.configuration import block_of  # noqa: PLC0415 - imports Prefect

    engine = open_default_store()
    ids = _ids(engine, config)
    block = block_of(config)
    change = _save(config, block)
    pairs = {name: _pair(engine, name, ids[name], config, block, since_ns) for name in config.sources}
    return _applied(engine, config, block, change, pairs)


def require(configs: Sequence[SiemConfig]) -> None:
    """All that is wrong before anything is stored: an unknown source, the name of another kind of SIEM.

    Raises ThirdPartyConfigError.
    """
    engine = open_default_store()
    for config in configs:
        _ids(engine, config)
        _require_kind(config)


def adopt(name: str, sources_: Sequence[str], since_ns: int | None = None) -> Applied:
    """Forward sources to a SIEM whose block a person has made in the UI, under that very name.

    Raises ThirdPartyConfigError where there is no such block, or it is not valid.
    """
    from tasks.siem import load_siem  # noqa: PLC0415 - imports Prefect

    engine = open_default_store()
    block = load_siem(name)
    config = SiemConfig(name, block.kind, tuple(sources_), {})
    ids = _ids(engine, config)
    pairs = {source: _pair(engine, source, ids[source], config, block, since_ns) for source in config.sources}
    return _applied(engine, config, block, "unchanged", pairs)


def set_paused(engine: Engine, pair: Known, *, paused: bool) -> bool:
    """Pause or resume a pair, in the store first. Whether that was a change."""
    changed = forwards.set_paused(engine, pair, paused=paused)
    forwarding.set_paused(pair.source, pair.siem, paused=paused)
    return changed


def remove(engine: Engine, pair: Known) -> bool:
    """Remove a pair; the block goes with its last one, and is then gone with its secrets. Whether that was so."""
    forwarding.set_paused(pair.source, pair.siem, paused=True)
    forwarding.remove(pair.source_id, pair.source, pair.siem)
    forwards.remove(engine, pair)
    return not forwards.known(engine, pair.siem) and _remove_block(pair.siem, pair.kind)


def _applied(engine: Engine, config: SiemConfig, block: SiemBlock, change: Change, pairs: dict[str, Change]) -> Applied:
    known = forwards.known(engine, config.name)
    closed = [pair.source for pair in known if not forwards.about(engine, pair.source_id).for_siem]
    return Applied(
        name=config.name,
        kind=config.kind,
        change=change,
        sources=pairs,
        left=tuple(sorted({pair.source for pair in known} - set(config.sources))),
        not_for_siem=() if block.is_archive else tuple(closed),
    )


def _ids(engine: Engine, config: SiemConfig) -> dict[str, str]:
    known = sources.known(engine)
    unknown = [name for name in config.sources if name not in known]
    if unknown:
        raise ThirdPartyConfigError(
            f"There is no source named {', '.join(map(repr, unknown))}.",
            hint="Apply its configuration first; `onepassword-source list` shows those there are.",
            code="unknown-source",
        )
    return {name: known[name] for name in config.sources}


def _require_kind(config: SiemConfig) -> None:
    for kind in KINDS:
        if kind != config.kind and _find(config.name, kind) is not None:
            raise ThirdPartyConfigError(
                f"There is a SIEM named {config.name!r} already, of the kind {kind}.",
                hint="Choose another name, or remove that one with `onepassword-source siem remove`.",
                code="name-taken",
            )


def _save(config: SiemConfig, block: SiemBlock) -> Change:
    found = _find(config.name, config.kind)
    if found is not None and found.fingerprint == block.fingerprint():
        return "unchanged"
    block.save(found.document if found else block_name(config.name), overwrite=True)
    return "created" if found is None else "updated"


@dataclass(frozen=True)
class _Found:
    """A block that is there, and its fingerprint; None where it is not valid."""

    document: str
    fingerprint: str | None


def _pair(  # noqa: PLR0917 - what a pair is made of
    engine: Engine, source: str, source_id: str, config: SiemConfig, block: SiemBlock, since_ns: int | None
) -> Change:
    before = forwards.find(engine, source_id, config.name)
    pair, changed = forwards.put(
        engine, source_id, config.name, config.kind, block.public(), block.fingerprint(), since_ns=since_ns
    )
    forwarding.deploy(source_id, source, config.name, paused=pair.paused_ns is not None)
    return "created" if before is None else "updated" if changed else "unchanged"


def _find(name: str, kind: str) -> _Found | None:
    from tasks.siem import documents  # noqa: PLC0415 - imports Prefect

    for document in documents(name):
        try:
            block = cast("SiemBlock", block_class(kind).load(document))
        except ConfigurationError:
            return _Found(document, None)
        except ValueError:
            continue
        return _Found(document, block.fingerprint())
    return None


def _remove_block(name: str, kind: str) -> bool:
    """Whether there was one."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    from tasks.siem import documents  # noqa: PLC0415

    removed = False
    with get_client(sync_client=True) as client:
        for document in documents(name):
            with suppress(ObjectNotFound):
                slug = block_class(kind).get_block_type_slug()
                found = client.read_block_document_by_name(document, slug, include_secrets=False)
                client.delete_block_document(found.id)
                removed = True
    return removed
