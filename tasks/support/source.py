"""What every task of a source needs: its block, loaded again for each attempt, and its store."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx
from prefect import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from blocks import settings
from blocks.errors import (
    FirstPartyGenericError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
)
from blocks.events_api.models import Api
from blocks.events_api.token import read_claims
from blocks.prefect_names import block_name
from blocks.source import OnePasswordSource
from blocks.store import schema
from blocks.store.engine import open_engine
from blocks.store.sources import SourceRecord, name_of

if TYPE_CHECKING:
    from prefect.client.schemas.objects import BlockDocument
    from sqlalchemy import Engine

_opening = threading.Lock()
_engines: dict[str, Engine] = {}
_of_source: dict[str, Engine] = {}
_ids: dict[str, str] = {}
_shared: dict[str, tuple[float, OnePasswordSource]] = {}
YEAR_2200 = 7_258_118_400
"""In seconds since 1970. A later time of a token counts as none."""
SHARED_SECONDS = 60.0
"""How long the steps of a run share the block that its first step has loaded."""


def load_source(name: str) -> OnePasswordSource:
    """The present block of a source. An edit in the UI or a rotated token counts from the next attempt on.

    Raises ThirdPartyConfigError if there is no such block or it is not valid, FirstPartyGenericError if the Prefect API
    does not answer.
    """
    try:
        block = OnePasswordSource.from_document(_document(name))
    except ObjectNotFound:
        raise _unknown(name) from None
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise FirstPartyGenericError(
            f"The Prefect API did not give the source's configuration ({type(error).__name__}).",
            hint="Check that `onepassword-source up` runs, or the server of PREFECT_API_URL.",
            code="prefect",
        ) from None
    _ids[name] = block.source_id
    return block.validated()


def _document(name: str) -> BlockDocument:
    with get_client(sync_client=True) as client:
        return client.read_block_document_by_name(block_name(name), OnePasswordSource.get_block_type_slug())


def load_and_share(name: str) -> OnePasswordSource:
    """Load the block, see `load_source`, and share it with the steps that follow within a minute."""
    block = load_source(name)
    _shared[name] = (time.monotonic(), block)
    return block


def shared_source(name: str) -> OnePasswordSource:
    """The block that a step of this run has loaded less than a minute ago; otherwise load it, see `load_source`.

    A failed step calls `forget_source`, so that each further attempt loads the block again.
    """
    shared_at, block = _shared.get(name, (0.0, None))
    if block is None or time.monotonic() - shared_at > SHARED_SECONDS:
        return load_source(name)
    return block


def forget_source(name: str) -> None:
    """Let every further step load the block again."""
    _shared.pop(name, None)


def current_name(name: str, source_id: str | None) -> str:
    """The present name of a source. A run may have been queued before a rename.

    It is `name` if no id is given, if the default store does not know the id or does not answer, or if the source's
    block is not renamed yet.
    """
    if source_id is None:
        return name
    try:
        found = name_of(default_store(), source_id)
        if found in {None, name}:
            return name
        load_source(str(found))
    except SourceError:
        return name
    return str(found)


def after_rotation(source: str, error: SourceError, fingerprint: str) -> SourceError:
    """The error of an attempt that began with the configuration of `fingerprint`.

    A rejected token that was replaced during the attempt is no error of the configuration: the next attempt uses the
    new token.
    """
    if not isinstance(error, TokenError):
        return error
    try:
        if load_source(source).fingerprint() == fingerprint:
            return error
    except SourceError:
        return error
    return ThirdPartyGenericError("The token was replaced while it was in use.", code="token-replaced")


def loaded_id(name: str) -> str | None:
    """The id of a source that this process has loaded, or None."""
    return _ids.get(name)


def open_store(source: OnePasswordSource) -> Engine:
    """The store of a source, upgraded where an older version made it. One engine for all threads of a process."""
    url = source.store.url.get_secret_value() if source.store else settings.database_url()
    with _opening:
        engine = _engine(url)
    _of_source[source.source_id] = engine
    return engine


def default_store() -> Engine:
    """The store of the settings, which holds the sources without a store of their own."""
    with _opening:
        return _engine(settings.database_url())


def register_store(source_id: str, engine: Engine) -> None:
    """Register the store of a source whose block this process has not opened."""
    _of_source.setdefault(source_id, engine)


def store_if_open(source_id: str) -> Engine | None:
    """The store of a source that this process has opened, or None."""
    return _of_source.get(source_id)


def _engine(url: str) -> Engine:
    if (opened := _engines.get(url)) is not None:
        return opened
    engine = open_engine(url)
    try:
        schema.upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    _engines[url] = engine
    return engine


def source_record(source: OnePasswordSource) -> SourceRecord:
    """What the store keeps of a source: everything except the token."""
    return SourceRecord(
        id=source.source_id,
        name=source.name,
        description=source.description,
        category=source.category,
        fields=source.fields,
        base_url=source.credentials.base_url,
        apis=tuple(Api(api) for api in source.supported_apis),
        api_version=source.api_version,
        collect_from=source.collect_from,
        fingerprint=source.fingerprint(),
        lag_after=source.lag_after or None,
        token_expires_ns=_expiry_ns(source.credentials.api_token.get_secret_value()),
        processing_rules=source.processing_rules(),
    )


def _expiry_ns(token: str) -> int | None:
    """When the token says that it expires, in ns since 1970; None where it does not say."""
    claims = read_claims(token)
    if claims is None or claims.expires_at is None or not 0 < claims.expires_at < YEAR_2200:
        return None
    return int(claims.expires_at * 1e9)


def _unknown(name: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"There is no source named {name!r}.",
        hint="Create it with `onepassword-source apply FILE`. `onepassword-source status` lists your sources.",
        code="configuration",
    )
