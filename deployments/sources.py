"""Make sources what a configuration says: their blocks, their rows in the store, their deployments.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from blocks.errors import SourceError
from blocks.faults import ConfigurationError
from blocks.names import block_name
from deployments.deploy import SourceDeployment, deploy_source

if TYPE_CHECKING:
    from blocks.source import OnePasswordSource
    from blocks.source_config import SourceConfig

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class Applied:
    """What `apply` did with one source."""

    name: str
    change: Change
    apis: tuple[str, ...]


def apply(config: SourceConfig) -> Applied:
    """Create or update one source; where nothing differs, nothing is written.

    A source that the store knows keeps its id, and with it its events and cursors. A block that was made invalid
    in the UI is mended.
    """
    found, change = _look_up(config)
    if found is not None and change == "unchanged":
        _note(found)
    else:
        _save(config, found)
    deploy(config.name, config.description)
    return Applied(config.name, change, tuple(str(api) for api in config.supported_apis))


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


def deploy(name: str, description: str | None) -> None:
    about = f"{description}\n\n" if description else ""
    text = f"{about}Collects what is new in the 1Password account of {name}, every five minutes."
    deploy_source(SourceDeployment(source=name, description=text))


def deploy_known() -> list[str]:
    """Deploy every source whose block is on the Prefect server, which knows the block types. Returns their names."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    from blocks.source import OnePasswordSource  # noqa: PLC0415

    names: list[str] = []
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents_by_type(OnePasswordSource.get_block_type_slug())
    for document in documents:
        name = str(document.data.get("name") or "")
        if document.name == block_name(name):
            deploy(name, str(document.data.get("description") or "") or None)
            names.append(name)
    return names


def register_blocks() -> None:
    """Make the block types known, so that their forms stand in the UI."""
    from blocks.events_api.credentials import OnePasswordCredentials  # noqa: PLC0415
    from blocks.source import OnePasswordSource  # noqa: PLC0415
    from blocks.store.block import EventStore  # noqa: PLC0415

    for block in (OnePasswordCredentials, EventStore, OnePasswordSource):
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


def _save(config: SourceConfig, found: OnePasswordSource | None) -> None:
    from blocks.source import OnePasswordSource  # noqa: PLC0415

    block = OnePasswordSource.from_config(config, found.source_id if found else _known_id(config.name))
    block.store = found.store if found else None
    _note(block)
    name = block_name(config.name)
    block.credentials.save(name, overwrite=True)
    block.save(name, overwrite=True)


def _known_id(name: str) -> str | None:
    """The id of a source whose block is gone, or not valid, but whose events are there."""
    from blocks import settings  # noqa: PLC0415
    from blocks.store import schema, sources  # noqa: PLC0415
    from blocks.store.engine import open_engine  # noqa: PLC0415

    engine = open_engine(settings.database_url())
    schema.upgrade(engine)
    return sources.known(engine).get(name)


def _note(block: OnePasswordSource) -> None:
    """Write the source into the store at once, so that `status` knows it before its first run."""
    from blocks.store import sources, streams  # noqa: PLC0415
    from tasks.source import open_store, record_of  # noqa: PLC0415

    engine, record = open_store(block), record_of(block)
    if sources.put(engine, record):
        streams.restart(engine, record.id)
