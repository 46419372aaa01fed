"""Replace the token of a source: the new one is checked first, and all that is wrong with it is said at once.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks import settings
from blocks.configuration import with_token
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.token import read_claims
from blocks.names import block_name

if TYPE_CHECKING:
    from blocks.events_api.models import Introspection
    from blocks.source import OnePasswordSource
    from blocks.source_config import SourceConfig
    from deployments.lifecycle import Managed


@dataclass(frozen=True)
class Checked:
    """What is known of a token before it is used. `account` and `scopes` are None where nobody told them."""

    account: str | None
    scopes: frozenset[str] | None
    warnings: tuple[str, ...]


def check(source: Managed, token: str, *, unchecked: bool = False) -> Checked:
    """Ask the Events API whose the token is and what it may read; nothing is changed.

    Raises ThirdPartyConfigError with all that is wrong with it, and ThirdPartyGenericError where the API cannot be
    asked, unless `unchecked`.
    """
    block = source.valid_block()
    config = with_token(block.config(), token, allowed_hosts=settings.allowed_hosts())
    seen, wrong, warnings = _introspect(block, token, unchecked=unchecked)
    claims = read_claims(token)
    account = (seen.account_uuid if seen else None) or (claims.account_uuid if claims else None)
    scopes = seen.scopes if seen else (claims.scopes or None if claims else None)
    wrong += _wrong_account(source, account) + _missing_scopes(config, scopes)
    if wrong:
        raise ThirdPartyConfigError(
            "\n".join([f"The token was not taken; source {source.name!r} keeps the one it has:", *wrong]),
            code="token",
        )
    return Checked(account, scopes, (*config.warnings, *warnings))


def replace(source: Managed, token: str, *, checked: bool = True) -> None:
    """Put the token into the encrypted block, end the runs with the old one, and forget the errors."""
    from blocks.store import lifecycle, sources  # noqa: PLC0415 - 0.5 s
    from deployments import running  # noqa: PLC0415
    from tasks.source import record_of  # noqa: PLC0415 - imports Prefect

    block = source.valid_block()
    block.credentials.api_token = SecretStr(token)
    name = block.credentials._block_document_name  # noqa: SLF001 - Prefect has no other way to tell
    block.credentials.save(name or block_name(source.name), overwrite=True)
    if name is None:
        block.save(block_name(source.name), overwrite=True)
    running.end(source.engine, source.known.id, running.SHORT_SECONDS)
    sources.put(source.engine, record_of(block))
    lifecycle.restart(source.engine, source.known, "token", checked=checked)


def _introspect(
    block: OnePasswordSource, token: str, *, unchecked: bool
) -> tuple[Introspection | None, list[str], list[str]]:
    """What the API says, what is wrong, and what a person should know."""
    from blocks.events_api.credentials import OnePasswordCredentials  # noqa: PLC0415 - imports Prefect

    credentials = OnePasswordCredentials(base_url=block.credentials.base_url, api_token=SecretStr(token))
    try:
        with credentials.get_client(block.api_version) as client:
            return client.introspect(), [], []
    except ThirdPartyConfigError as error:
        return None, [f"  {error}"], []
    except ThirdPartyGenericError as error:
        if unchecked:
            return None, [], [f"The token was not checked. {error.message}"]
        raise ThirdPartyGenericError(
            f"The token could not be checked, so nothing was changed. {error.message}",
            hint="Try again, or replace it all the same with --unchecked.",
            code=error.code,
        ) from None


def _wrong_account(source: Managed, account: str | None) -> list[str]:
    pinned = source.known.account_uuid
    if account is None or pinned in {None, account}:
        return []
    sentence = f"  It is of account {account}, but the events are those of account {pinned}. Issue one there; or, "
    return [sentence + "to collect from the other account from now on, apply its file with --new-account."]


def _missing_scopes(config: SourceConfig, scopes: frozenset[str] | None) -> list[str]:
    if scopes is None:
        return []
    missing = [api.path for api in config.supported_apis if api.path not in scopes]
    if not missing:
        return []
    has = ", ".join(sorted(scopes)) or "none"
    lacks = f"  It lacks the scope{'s'[: len(missing) != 1]} {', '.join(missing)}; it has {has}."
    return [f"{lacks} A token's scopes cannot be changed: issue another one."]
