"""Make sources what a configuration says: their blocks, their rows in the store, their deployments.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from blocks.errors import SourceError
from blocks.faults import ConfigurationError
from blocks.names import block_name
from deployments import forwarding
from deployments.deploy import SourceDeployment, deploy_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.blocks.core import Block
    from prefect.client.schemas.responses import DeploymentResponse
    from sqlalchemy import Engine

    from blocks.source import OnePasswordSource
    from blocks.source_config import SourceConfig
    from blocks.store.lifecycle import Known

Change = Literal["created", "updated", "revived", "unchanged"]


@dataclass(frozen=True)
class Applied:
    """What `apply` did with one source. `restarted`: its errors were cleared, and it is to run now."""

    name: str
    change: Change
    apis: tuple[str, ...]
    restarted: bool = False
    stopped: bool = False
    """Its schedule was stopped by a person, and stays so."""


def apply(config: SourceConfig, *, new_account: bool = False) -> Applied:
    """Create, update or revive one source; where nothing differs, nothing is written.

    A source that the store knows keeps its id, and with it its events and cursors, also one that was deleted. A block
    that was made invalid in the UI is mended. `new_account`: from now on its token may be that of another account.
    """
    from blocks.store import lifecycle  # noqa: PLC0415 - 0.5 s
    from tasks.source import open_store  # noqa: PLC0415 - see the module's docstring

    found, change = _look_up(config)
    block = found if found is not None and change == "unchanged" else _block(config, found)
    engine = open_store(block)
    known = lifecycle.find_id(engine, block.source_id)
    if known is not None and known.deleted_ns is not None:
        change = "revived"
    _note(engine, block)
    if change != "unchanged":
        _save(block)
    restarted = known is not None and (change in {"updated", "revived"} or new_account)
    if restarted and known is not None:
        _restart(engine, known, new_account=new_account)
    stopped = known is not None and known.deleted_ns is None and known.paused_ns is not None
    deploy(config.name, config.description, paused=stopped)
    return Applied(config.name, change, tuple(str(api) for api in config.supported_apis), restarted, stopped)


def find(name: str) -> OnePasswordSource | None:
    """The block of a source, or None where there is none. Raises ConfigurationError where it is not valid."""
    from blocks.source import OnePasswordSource  # noqa: PLC0415 - see the module's docstring

    try:
        return cast("OnePasswordSource", OnePasswordSource.load(block_name(name)))
    except ValueError:
        return None


def exists(name: str) -> bool:
    """Whether there is a block of that name, be it valid or not."""
    try:
        return find(name) is not None
    except ConfigurationError:
        return True


def deploy(
    name: str, description: str | None, *, paused: bool = False, like: Sequence[DeploymentResponse] = ()
) -> None:
    """Create or update the deployments of a source. New ones are `paused` if told so, and have what `like` has."""
    about = f"{description}\n\n" if description else ""
    text = f"{about}Collects what is new in the 1Password account of {name}, every five minutes."
    deploy_source(SourceDeployment(source=name, description=text, paused=paused), like)
    # Without a store there is nothing to forward from; `up` does not wait for it.
    with suppress(SourceError):
        forwarding.deploy_known(open_default_store(), name)


def deploy_known() -> list[str]:
    """Deploy every source whose block is on the Prefect server, which knows the block types. Returns their names.

    Not one that the store knows for deleted, or under another name; and one that is stopped stays so.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from blocks.source import OnePasswordSource  # noqa: PLC0415

    names: list[str] = []
    in_store = _in_store()
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents_by_type(OnePasswordSource.get_block_type_slug())
    for document in documents:
        name = str(document.data.get("name") or "")
        known = in_store.get(str(document.data.get("source_id") or document.id.hex))
        if document.name != block_name(name) or (known and (known.deleted_ns or known.name != name)):
            continue
        paused = known is not None and known.paused_ns is not None
        deploy(name, str(document.data.get("description") or "") or None, paused=paused)
        names.append(name)
    return names


def register_blocks(*, siems: bool = False) -> None:
    """Make the block types of sources known, and those of `siems` too, so that their forms stand in the UI."""
    from blocks.events_api.credentials import OnePasswordCredentials  # noqa: PLC0415
    from blocks.siem.kinds import KINDS, block_class  # noqa: PLC0415
    from blocks.source import OnePasswordSource  # noqa: PLC0415
    from blocks.store.block import EventStore  # noqa: PLC0415

    blocks: list[type[Block]] = [OnePasswordCredentials, EventStore, OnePasswordSource]
    for block in [*blocks, *map(block_class, KINDS if siems else ())]:
        block.register_type_and_schema()


def _look_up(config: SourceConfig) -> tuple[OnePasswordSource | None, Change]:
    try:
        found = find(config.name)
    except ConfigurationError:
        return None, "updated"
    if found is None:
        return None, "created"
    return found, "unchanged" if _same(found, config) else "updated"


def _same(found: OnePasswordSource, config: SourceConfig) -> bool:
    try:
        return found.config() == config
    except SourceError:
        return False


def _block(config: SourceConfig, found: OnePasswordSource | None) -> OnePasswordSource:
    from blocks.source import OnePasswordSource  # noqa: PLC0415

    block = OnePasswordSource.from_config(config, found.source_id if found else _known_id(config.name))
    block.store = found.store if found else None
    return block


def _save(block: OnePasswordSource) -> None:
    name = block_name(block.name)
    block.credentials.save(name, overwrite=True)
    block.save(name, overwrite=True)


def _known_id(name: str) -> str | None:
    """The id of a source whose block is gone, or not valid, but whose events are there."""
    from blocks.store import sources  # noqa: PLC0415

    return sources.known(open_default_store()).get(name)


def _in_store() -> dict[str, Known]:
    """Without a store nothing is known to be stopped or gone; runs wait for the store, and `up` does not."""
    from blocks.store import lifecycle  # noqa: PLC0415

    try:
        return lifecycle.all_known(open_default_store())
    except SourceError:
        return {}


def open_default_store() -> Engine:
    """The store that the settings name, made or upgraded where that is needed."""
    from blocks import settings  # noqa: PLC0415
    from blocks.store import schema  # noqa: PLC0415
    from blocks.store.engine import open_engine  # noqa: PLC0415

    engine = open_engine(settings.database_url())
    schema.upgrade(engine)
    return engine


def _note(engine: Engine, block: OnePasswordSource) -> None:
    """Write the source into the store at once, so that `status` knows it before its first run."""
    from blocks.store import sources, streams  # noqa: PLC0415
    from tasks.source import record_of  # noqa: PLC0415

    record = record_of(block)
    if sources.put(engine, record, revive=True):
        streams.restart(engine, record.id)


def _restart(engine: Engine, known: Known, *, new_account: bool) -> None:
    from blocks.store import lifecycle, sources  # noqa: PLC0415
    from deployments import running  # noqa: PLC0415

    running.end(engine, known.id, running.SHORT_SECONDS)
    if new_account:
        sources.unpin_account(engine, known.id)
    lifecycle.restart(engine, known, "apply", new_account=new_account)
