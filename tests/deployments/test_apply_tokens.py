"""`apply` introspects each new token before it stores it; of many sources a bad one stops none of the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command_calls import source_config, write_document

from blocks.store import audit_log
from deployments import cli, sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]


@pytest.fixture
def apply(api: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Applies sources, by their names, with these tokens. Returns the exit code, the answer and the rest."""

    def applied(tokens: dict[str, str], *flags: str, **members: Any) -> tuple[int, str, str]:
        configs = [source_config(name, api, **{"api_token": token, **members}) for name, token in tokens.items()]
        write_document("source.json", {"sources": configs})
        code = cli.main(["apply", "source.json", *flags])
        out, err = capsys.readouterr()
        assert all(token not in out + err for token in tokens.values())
        return code, out, err

    return applied


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[5:45]


def token_of(name: str) -> str | None:
    found = sources.find(name)
    return found.credentials.api_token.get_secret_value() if found else None


def test_a_revoked_token_is_not_stored(apply: Any, api: SandboxProcess, name: str) -> None:
    token = api.issue_token()
    api.revoke(token)
    code, out, _ = apply({name: token})
    assert code == cli.IN_ERROR
    assert out.startswith(f"{name}: refused. The token was rejected")
    assert "refuses the token" in out
    assert token_of(name) is None


@pytest.mark.parametrize("garbage", ["x" * 40, "one.two.three"], ids=["no-jwt", "three-parts"])
def test_garbage_is_not_stored(apply: Any, name: str, garbage: str) -> None:
    code, out, _ = apply({name: garbage})
    assert (code, "refused. The token was rejected" in out) == (cli.IN_ERROR, True)
    assert token_of(name) is None


def test_a_token_of_another_region_is_reported_with_the_region(apply: Any, api: SandboxProcess, name: str) -> None:
    code, out, _ = apply({name: api.issue_token(audience="events.1password.eu")})
    assert code == cli.IN_ERROR
    assert "It was issued for events.1password.eu, but base_url is 127.0.0.1" in out


def test_a_missing_scope_and_another_account_are_errors(apply: Any, api: SandboxProcess, name: str) -> None:
    code, out, _ = apply({name: api.issue_token(scopes=["auditevents"])})
    assert (code, "It lacks the scopes signinattempts, itemusages; it has auditevents." in out) == (cli.IN_ERROR, True)
    assert apply({name: api.token})[0] == cli.DONE
    assert cli.main(["collect", name]) == cli.DONE
    other = api.issue_token(account="ANOTHERACCOUNT")
    code, out, _ = apply({name: other})
    assert (code, "It is of account ANOTHERACCOUNT" in out) == (cli.IN_ERROR, True)
    assert token_of(name) == api.token
    assert apply({name: other}, "--new-account")[0] == cli.DONE
    assert token_of(name) == other


def test_a_server_that_does_not_answer_needs_unchecked(apply: Any, api: SandboxProcess, name: str) -> None:
    api.fault("503", api="introspect")
    code, out, _ = apply({name: api.token})
    assert code == cli.IN_ERROR
    assert "could not be checked" in out
    assert "--unchecked" in out
    assert token_of(name) is None
    code, out, err = apply({name: api.token}, "--unchecked")
    assert (code, out.startswith(f"{name}: created")) == (cli.DONE, True)
    assert "The token was not checked." in err
    code, out, _ = apply({name: api.token}, category="other")
    assert (code, out.startswith(f"{name}: updated")) == (cli.DONE, True), "the token stays, so it is not checked"


def test_unchecked_accepts_no_token_that_the_server_rejects(apply: Any, api: SandboxProcess, name: str) -> None:
    token = api.issue_token()
    api.revoke(token)
    assert apply({name: token}, "--unchecked")[0] == cli.IN_ERROR


def test_an_old_file_does_not_bring_the_old_token_back(apply: Any, api: SandboxProcess, name: str) -> None:
    old = api.issue_token()
    api.advance(60)
    new = api.issue_token()
    assert apply({name: new})[0] == cli.DONE
    code, out, _ = apply({name: old})
    assert code == cli.IN_ERROR
    assert "before the one in use" in out
    assert "--replace-token" in out
    assert token_of(name) == new
    assert apply({name: old}, "--replace-token")[0] == cli.DONE
    assert token_of(name) == old


def test_one_bad_source_stops_none_of_the_others(apply: Any, api: SandboxProcess, name: str) -> None:
    bad = api.issue_token()
    api.revoke(bad)
    names = [f"{name} {number}" for number in range(5)]
    tokens = dict.fromkeys(names, api.token) | {names[1]: bad, names[3]: "garbage"}
    code, out, _ = apply(tokens)
    assert code == cli.IN_ERROR
    lines = [line for line in out.splitlines() if line.startswith(name)]
    assert [line.removeprefix(f"{name} ")[:10] for line in lines] == [
        "0: created",
        "1: refused",
        "2: created",
        "3: refused",
        "4: created",
    ]
    assert "2 of 5 sources were refused; the others are applied." in out
    assert [token_of(one) is not None for one in names] == [True, False, True, False, True]
    code, out, _ = apply(tokens, "--json")
    assert code == cli.IN_ERROR
    document = json.loads(out)
    assert [one["change"] for one in document] == ["unchanged", "refused", "unchanged", "refused", "unchanged"]
    assert "refuses the token" in document[1]["problem"]


def test_what_is_unchanged_is_not_checked(apply: Any, api: SandboxProcess, name: str) -> None:
    assert apply({name: api.token})[0] == cli.DONE
    api.clear_requests()
    assert apply({name: api.token})[0] == cli.DONE
    assert api.requests()["last"] == []


def test_what_is_applied_is_recorded_for_the_person_who_acts(apply: Any, api: SandboxProcess, name: str) -> None:
    with audit_log.acting_as("Ada (console, 127.0.0.1)"):
        apply({name: api.issue_token()})
    record = audit_log.newest(sources.open_default_store(), 1)[0]
    assert (record.action, record.source_name, record.actor) == ("create", name, "Ada (console, 127.0.0.1)")
