"""Applies configurations of sources: their blocks, their rows in the store, their deployments.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from prefect.client.orchestration import get_client

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError
from blocks.siem.configuration import KINDS, block_class
from blocks.source import OnePasswordSource
from blocks.store import lifecycle, sources, streams
from blocks.store.block import EventStore
from blocks.store.forwarding import forward_pairs
from deployments import forward_deployments, token_check
from deployments.prefect_api import block_documents, source_runs
from deployments.prefect_api.deploy import Deployer, parallel_requests
from deployments.prefect_api.deployment_specs import SourceDeployment, source_specs
from deployments.token_rules import DEFAULT_RULES, TokenRules
from tasks.support.source import default_store, open_store, source_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from prefect.blocks.core import Block
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument
    from prefect.client.schemas.responses import DeploymentResponse
    from sqlalchemy import Engine

    from blocks.config.source_config import SourceConfig
    from blocks.store.forwarding.records import ForwardPair
    from blocks.store.lifecycle import SourceIdentity

Change = Literal["created", "updated", "revived", "unchanged", "refused"]
CHECKS_AT_ONCE = 16
"""How many introspections run at a time. Each waits for the network."""


@dataclass(frozen=True)
class AppliedSource:
    """The result of `apply` for one source. `restarted` is True if its errors were cleared and it is to run now.

    If the change is "refused", nothing has changed, and `problem` says why.
    """

    name: str
    change: Change
    apis: tuple[str, ...]
    restarted: bool = False
    stopped: bool = False
    """True if a person has stopped its schedule. It stays stopped."""
    problem: str = ""
    warnings: tuple[str, ...] = ()


def apply_all(configs: Sequence[SourceConfig], rules: TokenRules = DEFAULT_RULES) -> Iterator[AppliedSource]:
    """Create, update or revive sources, and yield the results in their order. If nothing differs, nothing is written.

    A source that the store knows keeps its id, and with it its events and cursors, even if it was deleted. A block that
    was made invalid in the UI is repaired. With `new_account` in the rules, the token may be of another account from
    now on. Call `register_blocks` first. After an error, the applied sources stay, and no further source is begun.
    """
    with (
        get_client(sync_client=True) as client,
        ThreadPoolExecutor(CHECKS_AT_ONCE) as checkers,
        ThreadPoolExecutor(parallel_requests()) as pool,
    ):
        applying = _SourceApplier(client, configs, rules)
        checks = [checkers.submit(applying.check, config) for config in configs]
        # In copies of this thread's context, which knows who acts (see `audit_log.acting_as`).
        done = [
            pool.submit(copy_context().run, applying.apply, config, check)
            for config, check in zip(configs, checks, strict=True)
        ]
        try:
            for one in done:
                yield one.result()
        finally:
            for one in done:
                one.cancel()


class _SourceApplier:
    """Reads the existing blocks at the start, all through one connection: 100 sources take seconds."""

    def __init__(self, client: SyncPrefectClient, configs: Sequence[SourceConfig], rules: TokenRules) -> None:

        self._client = client
        self._rules = rules
        names = [block_name(config.name) for config in configs]
        slug = OnePasswordSource.get_block_type_slug()
        self._documents = _by_name(block_documents.read_named(client, [slug], names, include_secrets=True))
        slug = OnePasswordCredentials.get_block_type_slug()
        self._credentials = _by_name(block_documents.read_named(client, [slug], names))
        self._deployer = _SourceDeployer(client, [config.name for config in configs])

    def check(self, config: SourceConfig) -> tuple[str, ...]:
        """Introspect a token that is new or is used in a new way. Returns warnings.

        Raises ThirdPartyConfigError if it is rejected, ThirdPartyGenericError if it could not be checked.
        """
        found, change = _compare(self._documents.get(block_name(config.name)), config)
        if change == "unchanged" or (found is not None and _same_access(found, config)):
            return ()
        if found is not None and not self._rules.replace_token:
            token_check.require_newer(config, found)
        known = None if self._rules.new_account else _stored_source(config, found)
        account = known.account_uuid if known else None
        return token_check.check_config(config, account, unchecked=self._rules.unchecked).warnings

    def apply(self, config: SourceConfig, check: Future[tuple[str, ...]]) -> AppliedSource:
        apis = tuple(str(api) for api in config.supported_apis)
        try:
            warnings = check.result()
        except (ThirdPartyConfigError, ThirdPartyGenericError) as error:
            return AppliedSource(config.name, "refused", apis, problem=str(error))
        return replace(self._applied(config), warnings=warnings)

    def _applied(self, config: SourceConfig) -> AppliedSource:

        document = self._documents.get(block_name(config.name))
        found, change = _compare(document, config)
        block = found if found is not None and change == "unchanged" else _block(config, found, document)
        engine = open_store(block)
        known = lifecycle.find_by_id(engine, block.source_id)
        if known is not None and known.deleted_ns is not None:
            change = "revived"
        _record(engine, block)
        if change != "unchanged":
            self._save(block, document)
        new_account = self._rules.new_account
        restarted = known is not None and (change in {"updated", "revived"} or new_account)
        if restarted and known is not None:
            _restart(engine, known, new_account=new_account)
        stopped = known is not None and known.deleted_ns is None and known.paused_ns is not None
        self._deployer.deploy(config.name, config.description, block.source_id, paused=stopped)
        return AppliedSource(config.name, change, tuple(str(api) for api in config.supported_apis), restarted, stopped)

    def _save(self, block: OnePasswordSource, document: BlockDocument | None) -> None:
        name = block_name(block.name)
        credentials = self._credentials.get(name)
        there = credentials.id if credentials else None
        nested = {"credentials": block_documents.save(self._client, block.credentials, name, there)}
        store = block_documents.nested_id(document, "store") if document and block.store else None
        if store is not None:
            nested["store"] = store
        block_documents.save(self._client, block, name, document.id if document else None, nested)


class _SourceDeployer:
    """Deploys sources and their pairs with SIEMs. Reads the existing deployments of `names` at the start."""

    def __init__(self, client: SyncPrefectClient, names: Sequence[str]) -> None:
        self._deployer = Deployer(client)
        self._pairs = _pairs_by_source()
        specs = [spec for name in names for spec in source_specs(SourceDeployment(name))]
        pairs = [forward_deployments.spec_of_pair(pair) for name in names for pair in self._pairs.get(name, ())]
        self._deployer.prefetch(specs)
        self._deployer.prefetch(pairs)

    def deploy(
        self,
        name: str,
        description: str | None,
        source_id: str,
        like: Sequence[DeploymentResponse] = (),
        *,
        paused: bool,
    ) -> None:
        about = f"{description}\n\n" if description else ""
        text = f"{about}Collects what is new in the 1Password account of {name}, every five minutes."
        wanted = SourceDeployment(source=name, description=text, paused=paused, source_id=source_id)
        self._deployer.deploy_source(wanted, like)
        for pair in self._pairs.get(name, ()):
            forward_deployments.deploy(self._deployer, pair)


def find(name: str) -> OnePasswordSource | None:
    """The block of a source, or None. Raises ConfigurationError if it is invalid."""
    try:
        return cast("OnePasswordSource", OnePasswordSource.load(block_name(name)))
    except ValueError:
        return None


def exists(name: str) -> bool:
    """True if there is a block of that name, valid or not."""
    try:
        return find(name) is not None
    except ConfigurationError:
        return True


def deploy(
    name: str,
    description: str | None,
    source_id: str,
    *,
    paused: bool = False,
    like: Sequence[DeploymentResponse] = (),
) -> None:
    """Create or update the deployments of a source. New ones start `paused`, and copy what a person set in `like`."""
    with get_client(sync_client=True) as client:
        _SourceDeployer(client, [name]).deploy(name, description, source_id, like, paused=paused)


def deploy_all() -> list[str]:
    """Deploy every source with a block on the Prefect server. The block types must be registered. Returns the names.

    Skips a source that the store records as deleted, or under another name. A stopped source stays stopped.
    """
    in_store = _stored_sources()
    with get_client(sync_client=True) as client:
        documents = block_documents.read_all(client, OnePasswordSource.get_block_type_slug())
        present = {_name_of(one): one for one in documents if _is_present(one, in_store.get(_id_of(one)))}
        deploying = _SourceDeployer(client, list(present))
        with ThreadPoolExecutor(parallel_requests()) as pool:
            done = [pool.submit(_deploy_one, deploying, one, in_store) for one in present.values()]
            for one in done:
                one.result()
    return list(present)


def _deploy_one(deploying: _SourceDeployer, document: BlockDocument, in_store: Mapping[str, SourceIdentity]) -> None:
    known = in_store.get(_id_of(document))
    description = str(document.data.get("description") or "") or None
    paused = known is not None and known.paused_ns is not None
    deploying.deploy(_name_of(document), description, _id_of(document), paused=paused)


def _name_of(document: BlockDocument) -> str:
    return str(document.data.get("name") or "")


def _id_of(document: BlockDocument) -> str:
    return str(document.data.get("source_id") or document.id.hex)


def _is_present(document: BlockDocument, known: SourceIdentity | None) -> bool:
    name = _name_of(document)
    if document.name != block_name(name):
        return False
    return known is None or (known.deleted_ns is None and known.name == name)


def _by_name(documents: Iterable[BlockDocument]) -> dict[str, BlockDocument]:
    return {str(one.name): one for one in documents}


def _pairs_by_source() -> dict[str, list[ForwardPair]]:
    """Without a store there is nothing to forward. `up` does not wait for the store."""
    found: dict[str, list[ForwardPair]] = {}
    with suppress(SourceError):
        for pair in forward_pairs.find_all(open_default_store()):
            found.setdefault(pair.source, []).append(pair)
    return found


def register_blocks(*, siems: bool = False) -> None:
    """Register the block types of sources, and with `siems` those of SIEMs, so that the UI has their forms."""
    blocks: list[type[Block]] = [OnePasswordCredentials, EventStore, OnePasswordSource]
    for block in [*blocks, *map(block_class, KINDS if siems else ())]:
        block.register_type_and_schema()


def _compare(document: BlockDocument | None, config: SourceConfig) -> tuple[OnePasswordSource | None, Change]:

    if document is None:
        return None, "created"
    try:
        found = OnePasswordSource.from_document(document)
    except ConfigurationError:
        return None, "updated"
    return found, "unchanged" if _same(found, config) else "updated"


def _same(found: OnePasswordSource, config: SourceConfig) -> bool:
    try:
        return found.config() == config
    except SourceError:
        return False


def _same_access(found: OnePasswordSource, config: SourceConfig) -> bool:
    """True if the token, and what it is used for, stay as they are."""
    try:
        before = found.config()
    except SourceError:
        return False
    members = ("api_token", "base_url", "api_version", "supported_apis")
    return all(getattr(before, member) == getattr(config, member) for member in members)


def _stored_source(config: SourceConfig, found: OnePasswordSource | None) -> SourceIdentity | None:
    """The source as its store records it."""
    if found is not None:
        return lifecycle.find_by_id(open_store(found), found.source_id)
    return lifecycle.find(open_default_store(), config.name)


def _block(config: SourceConfig, found: OnePasswordSource | None, document: BlockDocument | None) -> OnePasswordSource:
    """The block to save. If the present one is invalid, its events are found in its own store, too."""
    block = OnePasswordSource.from_config(config, found.source_id if found else None)
    block.store = found.store if found else _own_store(document)
    if found is None and (known := sources.ids_by_name(open_store(block)).get(config.name)):
        block.source_id = known
    return block


def _own_store(document: BlockDocument | None) -> EventStore | None:
    """The store of a block that is invalid otherwise; None if it has none of its own, or that is invalid, too."""
    if document is None or not document.data.get("store"):
        return None
    with suppress(ValueError, ConfigurationError):
        return EventStore.model_validate(document.data["store"])
    return None


def _stored_sources() -> dict[str, SourceIdentity]:
    """Without a store no source is known to be stopped or deleted. Runs wait for the store; `up` does not."""
    try:
        return lifecycle.all_by_id(open_default_store())
    except SourceError:
        return {}


def open_default_store() -> Engine:
    """The store that the settings name, created or upgraded if needed. One engine for the whole process."""
    return default_store()


def _record(engine: Engine, block: OnePasswordSource) -> None:
    """Write the source to the store at once, so that `status` shows it before its first run."""
    record = source_record(block)
    if sources.save(engine, record, revive=True):
        streams.restart(engine, record.id)


def _restart(engine: Engine, known: SourceIdentity, *, new_account: bool) -> None:

    source_runs.stop_runs(engine, known.id, source_runs.SHORT_SECONDS)
    if new_account:
        sources.unpin_account(engine, known.id)
    lifecycle.restart(engine, known, "apply", new_account=new_account)
