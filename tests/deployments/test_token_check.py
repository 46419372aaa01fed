"""All that is wrong with a token comes in one error; what cannot be checked is an error unless that is accepted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jwt
import pytest
from pydantic import SecretStr
from support.moving_clock import MovingClock

from blocks import clock
from blocks.config.source_config import SourceConfig
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api, Introspection
from blocks.secret import Secret
from deployments import introspection
from deployments.token_check import TokenCheck, check_config, describe, require_newer

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.source import OnePasswordSource

HOST = "events.1password.com"
NOW = 1_795_000_000
ALL = frozenset(api.path for api in Api)

Answer = Introspection | Exception


def token(**claims: Any) -> str:
    """A token with these claims; None leaves one out. No signature is checked."""
    present = {"iat": NOW - 86_400, "aud": [HOST], **claims}
    return jwt.encode({name: value for name, value in present.items() if value is not None}, "k" * 32)


def config(api_token: str | None = None, **members: Any) -> SourceConfig:
    secret = Secret(token() if api_token is None else api_token)
    return SourceConfig("1Pass", None, None, {}, f"https://{HOST}", secret, tuple(Api), **members)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Sets what the API answers to an introspection."""
    monkeypatch.setattr(clock, "clock", MovingClock(NOW * 10**9))

    def set_answer(answer: Answer) -> None:
        def introspect(*_: str) -> Introspection:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(introspection, "introspect", introspect)

    return set_answer


def seen(account: str | None = "ACCOUNT", scopes: frozenset[str] = ALL) -> Introspection:
    return Introspection("integration", scopes, account)


def test_what_the_api_says_of_a_good_token(answers: Callable[[Answer], None]) -> None:
    answers(seen())
    assert check_config(config(warnings=("w",)), "ACCOUNT") == TokenCheck("ACCOUNT", ALL, ("w",))
    assert check_config(config(), None) == TokenCheck("ACCOUNT", ALL, ())
    accepted = check_config(config(token(exp=NOW - 7200)), None)
    assert accepted.account == "ACCOUNT", "the server knows better than the token"


def test_a_token_of_another_account_without_scopes_has_both_problems_at_once(answers: Callable[[Answer], None]) -> None:
    answers(seen("OTHER", frozenset({"auditevents"})))
    with pytest.raises(ThirdPartyConfigError) as raised:
        check_config(config(), "ACCOUNT")
    first, account, scopes = raised.value.message.splitlines()
    assert "'1Pass' keeps the token that it has" in first
    assert "of account OTHER, but the events are of account ACCOUNT" in account
    assert "lacks the scopes signinattempts, itemusages; it has auditevents." in scopes
    assert raised.value.code == "token"


def test_one_missing_scope_is_one_and_none_are_none(answers: Callable[[Answer], None]) -> None:
    answers(seen(scopes=ALL - {"auditevents"}))
    with pytest.raises(ThirdPartyConfigError, match="lacks the scope auditevents; it has itemusages, signinattempts"):
        check_config(config(), None)
    answers(seen(scopes=frozenset()))
    with pytest.raises(ThirdPartyConfigError, match="it has none"):
        check_config(config(), None)


def test_a_rejected_token_is_explained_by_what_it_says_of_itself(answers: Callable[[Answer], None]) -> None:
    answers(ThirdPartyConfigError("The token was rejected (401).", code="401"))
    with pytest.raises(ThirdPartyConfigError) as raised:
        check_config(config(token(aud=["events.1password.eu"], exp=NOW - 7200)), None)
    lines = raised.value.message.splitlines()
    assert "It was issued for events.1password.eu, but base_url is events.1password.com" in lines[2]
    assert lines[3] == "  It expired 2 h ago: issue a new one."
    with pytest.raises(ThirdPartyConfigError) as raised:
        check_config(config(token(exp=NOW + 7200)), None)
    assert len(raised.value.message.splitlines()) == 2, "neither its region nor its time explains it"


@pytest.mark.parametrize(
    ("answer", "code"), [(ThirdPartyGenericError("It is down.", code="503"), "503"), (TimeoutError(), "timeout")]
)
def test_what_cannot_be_checked_is_an_error_or_with_unchecked_a_warning(
    answers: Callable[[Answer], None], answer: Exception, code: str
) -> None:
    answers(answer)
    with pytest.raises(ThirdPartyGenericError, match="so nothing was changed") as raised:
        check_config(config(), None)
    assert raised.value.code == code
    check = check_config(config(), None, unchecked=True)
    assert (check.account, check.scopes) == (None, None)
    assert check.warnings[0].startswith("The token was not checked. ")


def test_unchecked_accepts_no_token_that_is_rejected(answers: Callable[[Answer], None]) -> None:
    answers(ThirdPartyConfigError("The token was rejected (401).", code="401"))
    with pytest.raises(ThirdPartyConfigError):
        check_config(config(), None, unchecked=True)


def source(api_token: str) -> OnePasswordSource:
    """A source as far as its token."""
    credentials = SimpleNamespace(api_token=SecretStr(api_token))
    return cast("OnePasswordSource", SimpleNamespace(credentials=credentials))


@pytest.mark.parametrize(
    ("new", "present", "is_older"),
    [
        (NOW - 9, NOW - 5, True),
        (NOW - 5, NOW - 9, False),
        (NOW - 5, NOW - 5, False),
        (None, NOW - 5, False),
        (NOW - 9, None, False),
    ],
)
def test_an_older_token_than_the_one_in_use_is_an_error(
    new: int | None, present: int | None, *, is_older: bool
) -> None:
    given, used = (token(iat=issued, jti=name) for issued, name in ((new, "new"), (present, "present")))
    if not is_older:
        require_newer(config(given), source(used))
        return
    with pytest.raises(ThirdPartyConfigError, match="--replace-token") as raised:
        require_newer(config(given), source(used))
    assert raised.value.code == "older-token"
    assert given not in str(raised.value)


def test_the_same_token_is_never_older() -> None:
    require_newer(config(token(iat=NOW)), source(token(iat=NOW)))


def described(pinned: str | None = None, **members: Any) -> dict[str, tuple[str, bool]]:
    """By name: the value, and whether something is wrong with it."""
    return {one.name: (one.value, bool(one.problem)) for one in describe(config(**members), pinned)}


def test_a_good_token_is_described(answers: Callable[[Answer], None]) -> None:
    answers(seen())
    assert described("ACCOUNT", api_token=token(exp=NOW + 60)) == {
        "region": (f"https://{HOST}", False),
        "token": ("accepted", False),
        "account": ("ACCOUNT", False),
        "scopes": ("auditevents, itemusages, signinattempts", False),
        "expiry": ("2026-11-18 11:07Z", False),
    }


def test_each_property_says_what_is_wrong_with_it(answers: Callable[[Answer], None]) -> None:
    answers(ThirdPartyConfigError("It was revoked."))
    claims = {"exp": NOW - 60, "aud": ["events.1password.eu"], "1password.com/auuid": "OTHER"}
    found = described("ACCOUNT", api_token=token(**claims, **{"1password.com/fts": ["auditevents"]}))
    assert {name for name, (_, wrong) in found.items() if wrong} == {"region", "token", "account", "scopes", "expiry"}
    assert (found["account"][0], found["scopes"][0]) == ("OTHER", "auditevents")


@pytest.mark.parametrize("failure", [ThirdPartyGenericError("No way there."), TimeoutError()])
def test_what_cannot_be_checked_is_described_all_the_same(
    answers: Callable[[Answer], None], failure: Exception
) -> None:
    answers(failure)
    found = described()
    assert found["token"] == ("", True)
    assert found["expiry"] == ("it does not expire", False)
    assert described(api_token="no-jwt")["expiry"] == ("not known", False)
