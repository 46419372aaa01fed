"""Replace the token of a source: the new one is checked first, and all that is wrong with it is said at once.

Prefect is imported inside the functions: its settings come from the environment (see `server_access.activate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks import clock, settings
from blocks.config.source_file import with_token
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.token import read_claims
from blocks.prefect_names import block_name
from deployments.checks import network

if TYPE_CHECKING:
    from blocks.config.source_config import SourceConfig
    from blocks.events_api.models import Introspection
    from blocks.events_api.token import Claims
    from blocks.source import OnePasswordSource
    from deployments.lifecycle import ManagedSource


@dataclass(frozen=True)
class TokenCheck:
    """What is known of a token before it is used. `account` and `scopes` are None where nobody told them."""

    account: str | None
    scopes: frozenset[str] | None
    warnings: tuple[str, ...]


def check(source: ManagedSource, token: str, *, unchecked: bool = False) -> TokenCheck:
    """Introspect the token that is to replace the one of `source`; nothing is changed.

    Raises ThirdPartyConfigError with all that is wrong with it, and ThirdPartyGenericError where the API cannot be
    reached, unless `unchecked`.
    """
    config = with_token(source.valid_block().config(), token, allowed_hosts=settings.allowed_hosts())
    return check_config(config, source.known.account_uuid, unchecked=unchecked)


def check_config(config: SourceConfig, pinned: str | None, *, unchecked: bool = False) -> TokenCheck:
    """The same for the token of a configuration. `pinned`: the account that the events are of so far, where known."""
    token = config.api_token.get_secret_value() if config.api_token else ""
    claims = read_claims(token)
    seen, wrong, warnings = _introspect(config, token, unchecked=unchecked)
    if wrong and claims:
        wrong += _wrong_region(config, claims) + _expired(claims)
    account = (seen.account_uuid if seen else None) or (claims.account_uuid if claims else None)
    scopes = seen.scopes if seen else (claims.scopes or None if claims else None)
    wrong += _wrong_account(pinned, account) + _missing_scopes(config, scopes)
    if wrong:
        said = f"The token was not taken; source {config.name!r} keeps what it has:"
        raise ThirdPartyConfigError("\n".join([said, *wrong]), code="token")
    return TokenCheck(account, scopes, (*config.warnings, *warnings))


def require_newer(config: SourceConfig, found: OnePasswordSource) -> None:
    """Raises ThirdPartyConfigError where the token of a configuration was issued before the one that the source has.

    As both say; where one does not say so, it cannot be known.
    """
    present = found.credentials.api_token.get_secret_value()
    token = config.api_token.get_secret_value() if config.api_token else ""
    given, used = read_claims(token), read_claims(present)
    times = (given.issued_at if given else None, used.issued_at if used else None)
    if token == present or times[0] is None or times[1] is None or times[0] >= times[1]:
        return
    raise ThirdPartyConfigError(
        f"The token in the file was issued {clock.span_since(int(times[0] * 1e9))} ago, before the one in use "
        f"({clock.span_since(int(times[1] * 1e9))} ago), which has replaced it. Nothing was changed.",
        hint="Put the present token into the file, or apply it with --replace-token.",
        code="older-token",
    )


def replace(source: ManagedSource, token: str, *, checked: bool = True) -> None:
    """Put the token into the encrypted block, end the runs with the old one, and forget the errors."""
    from blocks.store import lifecycle, sources  # noqa: PLC0415 - 0.5 s
    from deployments.prefect_api import source_runs  # noqa: PLC0415
    from tasks.support.source import record_of  # noqa: PLC0415 - imports Prefect

    block = source.valid_block()
    block.credentials.api_token = SecretStr(token)
    name = block.credentials._block_document_name  # noqa: SLF001 - Prefect has no other way to tell
    block.credentials.save(name or block_name(source.name), overwrite=True)
    if name is None:
        block.save(block_name(source.name), overwrite=True)
    source_runs.stop_runs(source.engine, source.known.id, source_runs.SHORT_SECONDS)
    sources.put(source.engine, record_of(block))
    lifecycle.restart(source.engine, source.known, "token", checked=checked)


def _introspect(
    config: SourceConfig, token: str, *, unchecked: bool
) -> tuple[Introspection | None, list[str], list[str]]:
    """What the API says, what is wrong, and what a person should know."""
    try:
        return network.introspect(config.base_url, token, config.api_version), [], []
    except ThirdPartyConfigError as error:
        return None, [f"  {error}"], []
    except ThirdPartyGenericError as error:
        if unchecked:
            return None, [], [f"The token was not checked. {error.message}"]
        raise _not_checked(error.message, error.code) from None
    except TimeoutError:
        message = f"The Events API did not answer within {network.INTROSPECTION_SECONDS:.0f} s."
        if unchecked:
            return None, [], [f"The token was not checked. {message}"]
        raise _not_checked(message, "timeout") from None


def _not_checked(message: str, code: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The token could not be checked, so nothing was changed. {message}",
        hint="Try again, or take it all the same with --unchecked.",
        code=code,
    )


def _wrong_region(config: SourceConfig, claims: Claims) -> list[str]:
    host = config.base_url.rpartition("/")[2]
    if claims.host is None or claims.host == host:
        return []
    return [f"  It was made for {claims.host}, but base_url is {host}: use the server of your account's region."]


def _expired(claims: Claims) -> list[str]:
    if claims.expires_at is None or claims.expires_at > clock.now():
        return []
    return [f"  It expired {clock.span_since(int(claims.expires_at * 1e9))} ago: issue a new one."]


def _wrong_account(pinned: str | None, account: str | None) -> list[str]:
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
