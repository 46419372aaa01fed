"""Adding sources: the token is checked first, with the real Events API of the sandbox; nothing is stored before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command_calls import source_config
from support.console_client import shown_text
from support.fake_op import REFERENCE, FakeOp
from support.new_sources import NEW, FakeApply, check, form
from support.values import SOURCE

from blocks.store import fields, sources

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

    from deployments.sandbox.process import SandboxProcess


def test_a_good_token_is_shown_and_then_added(
    store: Engine, api: SandboxProcess, applied: FakeApply, operator: ConsoleClient
) -> None:
    page, job_id = check(operator, form(api, forward="on", category="sec"))
    text = shown_text(page)
    assert "Acme can be added" in text
    assert f"Region (base_url) ok {api.base_url}" in text
    assert "Token ok accepted" in text
    assert "auditevents" in text
    assert api.token not in page
    assert applied.configs == []
    assert "Acme: created." in operator.submit(f"{NEW}/add", check=job_id)
    (config,) = applied.configs
    assert config.api_token is not None
    assert config.api_token.get_secret_value() == api.token
    assert (config.fields, config.category, applied.started) == ({"_siemForward": True}, "sec", ["Acme"])
    assert operator.post_form(f"{NEW}/add", check=job_id).status_code == 400  # added once


def test_what_is_wrong_is_named(api: SandboxProcess, applied: FakeApply, operator: ConsoleClient) -> None:
    token = api.issue_token(["signinattempts"], expires_in=-60)
    page, job_id = check(operator, form(api, api_token=token))
    text = shown_text(page)
    assert "Acme cannot be added" in text
    assert "Scopes wrong" in text
    assert "auditevents" in text
    assert "Expiry wrong" in text
    assert "Region (base_url) ok" in text
    assert operator.post_form(f"{NEW}/add", check=job_id).status_code == 400
    assert applied.configs == []


def test_an_api_that_does_not_answer_is_named(operator: ConsoleClient, api: SandboxProcess) -> None:
    page, _ = check(operator, form(api, base_url="http://127.0.0.1:9"))
    assert "Token wrong" in shown_text(page)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"name": ""}, "$.name: it is missing"),
        ({"base_url": "https://evil.example"}, "is not one of 1Password"),
        ({"api_token": ""}, "There is no token for 'Acme'."),
        ({"api-audit": ""}, "supported_apis"),
        ({"collect_from": "soon"}, "collect_from"),
    ],
)
def test_a_form_with_a_problem_is_shown_again(
    api: SandboxProcess, operator: ConsoleClient, members: dict[str, str], problem: str
) -> None:
    answer = operator.post_form(NEW, **form(api, category="<b>kept", **members))
    assert answer.status_code == 400
    assert problem in shown_text(answer.text)
    assert "&lt;b&gt;kept" in answer.text
    assert api.token not in answer.text


def test_pasted_json_of_several_sources(
    store: Engine, api: SandboxProcess, applied: FakeApply, operator: ConsoleClient
) -> None:
    other = api.issue_token()
    configs = [
        source_config("one", api, fields={"team": "blue"}),
        source_config("two", api, api_token=other, fields={"team": "blue"}),
    ]
    page, job_id = check(operator, {"json": json.dumps({"sources": configs}), "add_fields": "on"})
    assert shown_text(page).count("can be added") == 2
    assert "Add 2 sources" in page
    assert api.token not in page
    text = shown_text(operator.submit(f"{NEW}/add", check=job_id))
    assert "one: created; two: created." in text
    assert "Fields added: team." in text
    assert "A warning." in text
    assert "team" in [one.name for one in fields.all_fields(store)]


def test_json_with_a_problem_is_shown_again_without_its_token(api: SandboxProcess, operator: ConsoleClient) -> None:
    document = {"source": source_config("one", api, nonsense=1)}
    answer = operator.post_form(NEW, json=json.dumps(document))
    assert answer.status_code == 400
    assert "nonsense" in answer.text
    assert api.token not in answer.text
    assert operator.post_form(NEW, json="{").status_code == 400


def test_a_browser_cannot_make_the_server_read_a_file_a_variable_or_1password(
    api: SandboxProcess, operator: ConsoleClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch, secret=api.token)
    (tmp_path / "token").write_text(api.token)
    monkeypatch.setenv("A_TOKEN", api.token)
    for reference in ({"file": str(tmp_path / "token")}, {"env": "A_TOKEN"}, REFERENCE):
        answer = operator.post_form(NEW, json=json.dumps({"source": source_config("one", api, api_token=reference)}))
        assert answer.status_code == 400
        assert "references are not read here" in shown_text(answer.text)
        assert api.token not in answer.text
    answer = operator.post_form(NEW, **form(api, api_token=REFERENCE))
    assert answer.status_code == 400
    assert "references are not read here" in shown_text(answer.text)
    assert op.calls == []


def test_the_token_of_json_is_entered_apart(api: SandboxProcess, operator: ConsoleClient) -> None:
    document: Any = {"source": source_config("one", api)}
    del document["source"]["config"]["api_token"]
    page, _ = check(operator, {"json": json.dumps(document), "api_token": api.token})
    assert "one can be added" in shown_text(page)


def test_a_name_that_is_taken_is_pointed_out(store: Engine, api: SandboxProcess, operator: ConsoleClient) -> None:
    sources.save(store, SOURCE)
    page, _ = check(operator, form(api, name=SOURCE.name))
    assert "There is a source of this name." in page


def test_a_source_that_is_refused_says_why(api: SandboxProcess, applied: FakeApply, operator: ConsoleClient) -> None:
    applied.refuses = True
    _, job_id = check(operator, form(api))
    assert "Acme: The token was rejected." in operator.submit(f"{NEW}/add", check=job_id)


def test_viewers_add_nothing(api: SandboxProcess, viewer: ConsoleClient) -> None:
    viewer.page(NEW, status=403)
    assert viewer.post_form(NEW, **form(api)).status_code == 403
    assert viewer.post_form(f"{NEW}/add", check="x").status_code == 403


def test_a_hostile_name_is_text(api: SandboxProcess, operator: ConsoleClient) -> None:
    page, _ = check(operator, form(api, name="<script>x</script>"))
    assert "<script>x" not in page
