"""Checks the token of a source before it is stored, and reports everything that is wrong with it in one error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.token import read_claims
from deployments import introspection
from deployments.terminal_output import format_minute

if TYPE_CHECKING:
    from blocks.config.source_config import SourceConfig
    from blocks.events_api.models import Introspection
    from blocks.events_api.token import TokenClaims
    from blocks.source import OnePasswordSource


@dataclass(frozen=True)
class TokenCheck:
    """What is known of a token before it is used. `account` and `scopes` are None if they are unknown."""

    account: str | None
    scopes: frozenset[str] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenFinding:
    """One property of a token: what it is, and what is wrong with it. `problem` is empty if nothing is."""

    name: str
    value: str
    problem: str = ""


def describe(config: SourceConfig, pinned: str | None) -> list[TokenFinding]:
    """All properties of the token of a configuration, each with what is wrong with it; nothing is changed.

    It introspects the token, and raises nothing if that fails. `pinned` is as in `check_config`.
    """
    token = config.api_token.get_secret_value() if config.api_token else ""
    claims = read_claims(token)
    seen: Introspection | None = None
    try:
        seen, wrong, _ = _introspect(config, token, unchecked=False)
    except ThirdPartyGenericError as error:
        wrong = [error.message]
    account = (seen.account_uuid if seen else None) or (claims.account_uuid if claims else None)
    scopes = seen.scopes if seen else (claims.scopes or None if claims else None)
    found = [
        ("region", config.base_url, _wrong_region(config, claims) if claims else []),
        ("token", "accepted" if seen else "", wrong),
        ("account", account or "not known", _wrong_account(pinned, account)),
        ("scopes", ", ".join(sorted(scopes)) if scopes else "not known", _missing_scopes(config, scopes)),
        ("expiry", _expiry_text(claims), _expired(claims) if claims else []),
    ]
    return [TokenFinding(name, value, " ".join(problem.strip() for problem in wrong)) for name, value, wrong in found]


def check_config(config: SourceConfig, pinned: str | None, *, unchecked: bool = False) -> TokenCheck:
    """Introspect the token of a configuration; nothing is changed.

    `pinned` is the account of the events that are stored already, or None if that is not known.
    Raises ThirdPartyConfigError with all that is wrong with the token, and ThirdPartyGenericError if the API cannot be
    reached, unless `unchecked` is True.
    """
    token = config.api_token.get_secret_value() if config.api_token else ""
    claims = read_claims(token)
    seen, wrong, warnings = _introspect(config, token, unchecked=unchecked)
    if wrong and claims:
        wrong += _wrong_region(config, claims) + _expired(claims)
    account = (seen.account_uuid if seen else None) or (claims.account_uuid if claims else None)
    scopes = seen.scopes if seen else (claims.scopes or None if claims else None)
    wrong += _wrong_account(pinned, account) + _missing_scopes(config, scopes)
    if wrong:
        said = f"The token was rejected; source {config.name!r} keeps the token that it has:"
        raise ThirdPartyConfigError("\n".join([said, *wrong]), code="token")
    return TokenCheck(account, scopes, (*config.warnings, *warnings))


def require_newer(config: SourceConfig, source: OnePasswordSource) -> None:
    """Raises ThirdPartyConfigError if the token of a configuration was issued before the one that the source has.

    Both tokens say when they were issued. If one does not, the check passes.
    """
    present = source.credentials.api_token.get_secret_value()
    token = config.api_token.get_secret_value() if config.api_token else ""
    given, used = read_claims(token), read_claims(present)
    times = (given.issued_at if given else None, used.issued_at if used else None)
    if token == present or times[0] is None or times[1] is None or times[0] >= times[1]:
        return
    raise ThirdPartyConfigError(
        f"The token in the file was issued {clock.format_age(int(times[0] * 1e9))} ago, before the one in use "
        f"({clock.format_age(int(times[1] * 1e9))} ago), which has replaced it. Nothing was changed.",
        hint="Put the current token into the file, or apply it with --replace-token.",
        code="older-token",
    )


def _introspect(
    config: SourceConfig, token: str, *, unchecked: bool
) -> tuple[Introspection | None, list[str], list[str]]:
    """The response of the API, what is wrong, and warnings."""
    try:
        return introspection.introspect(config.base_url, token, config.api_version), [], []
    except ThirdPartyConfigError as error:
        return None, [f"  {error}"], []
    except ThirdPartyGenericError as error:
        if unchecked:
            return None, [], [f"The token was not checked. {error.message}"]
        raise _not_checked(error.message, error.code) from None
    except TimeoutError:
        message = f"The Events API did not answer within {introspection.INTROSPECTION_SECONDS:.0f} s."
        if unchecked:
            return None, [], [f"The token was not checked. {message}"]
        raise _not_checked(message, "timeout") from None


def _not_checked(message: str, code: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The token could not be checked, so nothing was changed. {message}",
        hint="Try again, or use the token unchecked with --unchecked.",
        code=code,
    )


def _wrong_region(config: SourceConfig, claims: TokenClaims) -> list[str]:
    host = config.base_url.rpartition("/")[2]
    if claims.host is None or claims.host == host:
        return []
    return [f"  It was issued for {claims.host}, but base_url is {host}: use the server of your account's region."]


def _expired(claims: TokenClaims) -> list[str]:
    if claims.expires_at is None or claims.expires_at > clock.now():
        return []
    return [f"  It expired {clock.format_age(int(claims.expires_at * 1e9))} ago: issue a new one."]


def _expiry_text(claims: TokenClaims | None) -> str:
    if claims is None:
        return "not known"
    if claims.expires_at is None:
        return "it does not expire"
    return format_minute(int(claims.expires_at * 1e9))


def _wrong_account(pinned: str | None, account: str | None) -> list[str]:
    if account is None or pinned in {None, account}:
        return []
    sentence = f"  It is of account {account}, but the events are of account {pinned}. Issue one there; or, "
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
