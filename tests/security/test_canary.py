"""Tokens are planted, and then searched for in everything that runs, failures and commands leave."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import secrets
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from security.machine import BROKEN, NOWHERE, OF_UP, PREFECT_DATABASE, Case, Machine
from security.search import DECRYPTED, SHORTEST, Search
from support.certificates import HERE, SERVER_KEY, certificate
from support.paths import TESTS
from support.tls_server import answering

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect

CONFIG = "ThirdPartyConfigError"
APIS = ("signinattempts", "itemusages", "auditevents")


def odd() -> str:
    """No JWT, and full of characters that encodings change."""
    return "".join(secrets.token_hex(2) + sign for sign in "+/=%~" * 8)


def said(token: str) -> str:
    return f"The token {token} is not good."


def body(api: str, status: int, text: str, **options: object) -> dict[str, object]:
    return {"kind": "body", "api": api, "status": status, "body": text, **options}


def repeated(token: str) -> list[dict[str, object]]:
    """The server says the token again, in each form of an error body, whole or in part."""
    signature = token.rpartition(".")[2]
    first, second, third = APIS
    return [
        body(first, 400, json.dumps({"status": 400, "message": said(token)})),
        body(second, 400, json.dumps({"Error": {"Message": said(token[:-20])}})),
        body(third, 400, f"It ends in {signature}, {signature[-SHORTEST:]}"),
    ]


def repeated_by_introspection(token: str) -> list[dict[str, object]]:
    escaped = "".join(f"\\u{ord(char):04x}" for char in token)
    return [body("introspect", 401, f'{{"status": 401, "message": "{escaped}"}}')]


def repeated_in_other_words(token: str) -> list[dict[str, object]]:
    """For a token that is no JWT."""
    first, second, third = APIS
    cut = f"{token[:SHORTEST]} {token[-SHORTEST:]} {token[9 : 9 + SHORTEST]}"
    ways = f"{quote(token, safe='')} {base64.b64encode(token.encode()).decode()}"
    return [
        body("introspect", 200, json.dumps({"uuid": "X", "features": list(APIS), "issued_at": "2026-01-01T00:00:00Z"})),
        body(first, 400, json.dumps({"status": 400, "message": said(cut)})),
        body(second, 400, json.dumps({"status": 400, "message": ways})),
        body(third, 400, said(token)),
    ]


def repeated_in_headers(token: str) -> list[dict[str, object]]:
    first, second, third = APIS
    return [
        {"kind": "redirect", "api": first, "times": 1, "location": f"https://{NOWHERE}/?token={token}"},
        {"kind": "429", "api": second, "times": 1, "retry_after": token},
        body(third, 418, said(token), times=1, content_type="text/plain"),
    ]


def everywhere(kind: str, **options: object) -> list[dict[str, object]]:
    return [{"kind": kind, **options}]


def once(*kinds: str) -> list[dict[str, object]]:
    return [{"kind": kind, "api": api, "times": 1} for kind, api in zip(kinds, APIS, strict=True)]


QUICK = (
    Case("success", "Collected"),
    Case("revoked", CONFIG, lambda _: everywhere("revoked")),
    Case("repeated", CONFIG, repeated),
)
BATCHES = {
    "refused": (
        *QUICK[:2],
        Case("403", CONFIG, lambda _: everywhere("403")),
        Case("404", CONFIG, lambda _: everywhere("404")),
        Case("first", CONFIG, lambda _: everywhere("rejected_first")),
        Case("cursor", CONFIG, lambda _: everywhere("rejected_cursor"), events=4500),
        Case("scope", CONFIG, lambda _: everywhere("lost_scope", api="auditevents")),
        Case("no-jwt", CONFIG, token=lambda _: odd()),
    ),
    "passing": (
        Case("429-500-502", "Collected", lambda _: once("429", "500", "502")),
        Case("html-truncated-reset", "Collected", lambda _: once("html", "truncated", "reset")),
        Case("redirect-json-503", "Collected", lambda _: once("redirect", "bad_json", "503")),
        Case("introspection", "Collected", lambda _: everywhere("500", api="introspect")),
    ),
    "repeated": (
        QUICK[2],
        Case("repeated-introspection", CONFIG, repeated_by_introspection),
        Case("repeated-words", CONFIG, repeated_in_other_words, token=lambda _: odd()),
        Case("repeated-headers", "Collected", repeated_in_headers),
    ),
    "unexpected": (Case("unexpected", "FirstPartyGenericError", env=BROKEN),),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"), ())
    made.plant(OF_UP, secrets.token_urlsafe(60))
    with made.watch:
        try:
            made.start()
            yield made
        finally:
            made.stop_if_running()


def show(machine: Machine, *names: str) -> None:
    """Every command that shows something, of all sources or of these."""
    for arguments in (("status",), ("status", "--json"), ("health", "--json"), ("list", "--json")):
        machine.call(*arguments)
    for name in names:
        machine.call("--debug", "check", name, "--json")
        machine.call("--debug", "export", name)
        machine.call("events", name, "--format", "ndjson")


def check_the_search(machine: Machine, *, blocks: int) -> None:
    """It looks where all those things are, and can read what is encrypted."""
    kept = {find.secret for find in machine.finds() if find.where.endswith("block_document") and DECRYPTED in find.how}
    assert len(kept) >= blocks
    for table in ("log", "events", "artifact", "flow_run_state", "task_run_state", "block_document"):
        assert machine.count_in_prefect(f"SELECT count(*) FROM {table}"), table
    assert b"connect_tcp.started" in (machine.data / "worker.log").read_bytes(), "which is logged at DEBUG alone"
    assert machine.count("SELECT count(*) FROM health_events")
    assert machine.watch.processes("a child of up") >= 3, "server, worker and runs"
    assert {"up.out", "data/server.log", "data/worker.log"} <= {
        str(path.relative_to(machine.directory)) for path in machine.directory.rglob("*")
    }


@pytest.mark.torture
def test_no_token_is_left_by_success_nor_a_refusal_nor_a_server_that_repeats_it(machine: Machine) -> None:
    with machine.playing(*QUICK):
        machine.call("status", "--json")
        machine.call("health", "--json")
    assert machine.leaks() == []
    check_the_search(machine, blocks=len(QUICK))


@pytest.mark.torture
@pytest.mark.parametrize("batch", BATCHES)
def test_no_token_is_left_by(batch: str, machine: Machine) -> None:
    cases = [case for case in BATCHES[batch] if case.name not in machine.planted]
    with machine.playing(*cases):
        show(machine, cases[-1].name)
        machine.call("--debug", "collect", cases[0].name, **cases[0].env)
        assert machine.leaks() == []


@pytest.mark.torture
def test_no_token_nor_password_is_left_by_what_cannot_be_reached(machine: Machine, tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, signed_by=SERVER_KEY)) as refused:
        cases = (
            Case("dns", "", base_url=f"https://{NOWHERE}"),
            Case("tls", "", base_url=refused.url),
            Case("connect", "", base_url="http://127.0.0.1:9"),
        )
        with machine.playing(*cases):
            machine.call("--debug", "check", "tls", "--json")
            assert refused.requests == []
    assert machine.leaks() == []


@pytest.mark.torture
def test_no_token_nor_password_is_left_by_a_store_that_is_away(machine: Machine) -> None:
    password = machine.plant("password of the store", secrets.token_urlsafe(40))
    with machine.playing(Case("away", "Collected")):
        url = f"postgresql://collector:{password}@127.0.0.1:9/events"
        machine.edit_block("1password-source", "away", store=_store(machine, url))
        machine.wait_for_retry(machine.run("away"))
        machine.call("--debug", "check", "away", "--json")
        machine.call("--debug", "status", "away", ONEPASSWORD_SOURCE_DATABASE_URL=url)
        assert machine.leaks() == []


@pytest.mark.torture
def test_no_token_is_left_by_its_rotation_nor_by_one_of_another_account(machine: Machine) -> None:
    with running_sandbox(events=30, seed=901) as sandbox:
        old, new = machine.issued(sandbox, "old"), machine.issued(sandbox, "new")
        other = machine.issued(sandbox, "of another account", account="ANOTHERACCOUNTOFSOMEONE222")
        useless = machine.issued(sandbox, "revoked before")
        sandbox.revoke(useless)
        machine.apply(("rotated", sandbox.base_url, old))
        assert machine.wait_for_end(machine.run("rotated")) == "Collected"
        machine.call("--debug", "token", "rotated", given=useless)
        machine.call("--debug", "token", "rotated", given=other)
        machine.call("--debug", "token", "rotated", given=f"{new}\n")
        assert machine.wait_for_end(machine.run("rotated")) == "Collected"
        machine.edit_block("1password-credentials", "rotated", api_token=other)
        assert machine.wait_for_end(machine.run("rotated")) == CONFIG
        show(machine, "rotated")
        assert machine.leaks() == []
        cells = [find for find in machine.finds() if find.where.endswith("table block_document")]
        assert {find.secret for find in cells} & {"old", "new", "of another account"} == {"of another account"}
        machine.call("token", "rotated", ONEPASSWORD_SOURCE_API_TOKEN=new)
        assert machine.leaks() == [], "given by the environment, it reaches no child"


@pytest.mark.torture
def test_no_token_is_left_by_a_block_that_was_edited_wrongly(machine: Machine) -> None:
    wrong = {
        "host": ("1password-credentials", lambda token: {"base_url": f"https://{token}.example"}),
        "token-as-host": ("1password-credentials", lambda token: {"base_url": token}),
        "space": ("1password-credentials", lambda token: {"api_token": f"{token[:60]} {token[60:]}"}),
        "kind": ("1password-credentials", lambda token: {"api_token": {"token": token}}),
        "apis": ("1password-source", lambda token: {"supported_apis": token}),
        "from": ("1password-source", lambda token: {"collect_from": token}),
    }
    with machine.playing(*(Case(name, "Collected") for name in wrong)):
        for name, (kind, made) in wrong.items():
            machine.edit_block(kind, name, **made(machine.planted[name]))
        runs = [machine.run(name) for name in wrong]
        assert {machine.wait_for_end(run) for run in runs} == {CONFIG}
        for name in wrong:
            machine.call("--debug", "check", name, "--json")
        machine.call("--debug", "export", "kind")
        machine.call("--debug", "collect", "kind")
        # Prefect's own event of a changed block shows what a person typed into a field that is not secret.
        for name in ("host", "token-as-host", "apis", "from"):
            for place in ("", ", table events"):
                machine.given.add((name, f"{PREFECT_DATABASE}{place}"))
        assert machine.leaks() == []


@pytest.mark.torture
def test_no_token_is_left_by_a_file_that_is_refused(machine: Machine) -> None:
    with running_sandbox(events=0, seed=902) as sandbox:
        token = machine.issued(sandbox, "of a wrong file")
        config = {"name": "wrong", "base_url": sandbox.base_url, "api_token": token, "supported_apis": ["audit"]}
        edits = (
            {"api_token": f"Bearer {token}"},
            {"api_token": [token]},
            {"api_tokn": token},
            {"base_url": f"https://{token}"},
            {"base_url": token},
            {"supported_apis": [token]},
            {"api_version": token},
            {"collect_from": token},
            {"fields": {token: {}}},
            {token: 1},
        )
        for edit in edits:
            machine.call("--debug", "apply", "-", given=json.dumps({"source": {"config": {**config, **edit}}}))
        whole = json.dumps({"source": {"config": config}})
        machine.call("--debug", "apply", "-", given=whole[: whole.index(token) + len(token)])
        machine.call("--debug", "apply", "-", given=whole.replace(token, token + "\n"))
        assert machine.leaks() == []


@pytest.mark.torture
def test_export_with_token_is_found_and_nothing_is_left_when_all_has_ended(machine: Machine) -> None:
    with machine.playing(Case("last", "Collected"), Case("alone", "Collected")):
        machine.call("export", "last", "--with-token")
        assert [(find.secret, find.where) for find in machine.leaks()] == [
            ("last", "output of export last --with-token")
        ]
        machine.said.pop()
        machine.call("delete", "last", "--yes")
        check_the_search(machine, blocks=1)
        machine.stop(signal.SIGINT)
        machine.call("--debug", "collect", "alone", codes=(0,))  # with a temporary server
    assert machine.leaks() == []


def test_no_cassette_holds_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the recorded ones, nor one that is recorded now with a token that is known."""
    cassettes = list((TESTS / "cassettes").glob("*.yaml"))
    assert cassettes
    for cassette in cassettes:
        assert not re.search(r"eyJ[\w-]{8}|bearer|authorization", cassette.read_text(), re.IGNORECASE), cassette
    recorder = _module(TESTS / "blocks" / "events_api" / "test_cassettes.py", monkeypatch)
    tokens: list[str] = []

    @contextmanager
    def known_sandbox(**options: object) -> Iterator[SandboxProcess]:
        with running_sandbox(**options) as sandbox:
            tokens.extend((sandbox.token, sandbox.issue_token()))
            yield sandbox

    monkeypatch.setattr(recorder, "running_sandbox", known_sandbox)
    recorder.record(tmp_path)
    assert len(list(tmp_path.glob("*.yaml"))) == len(cassettes)
    assert list(Search({"token": tokens[0]}, [tokens[1]]).tree(tmp_path)) == []


def _module(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("recorder", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def _store(machine: Machine, url: str) -> dict[str, object]:
    """A new block with the URL of a store, made as in Prefect's UI; what a block that uses it says."""
    kind = machine.ask("GET", "/api/block_types/slug/1password-event-store").json()["id"]
    wanted = {"block_schemas": {"block_type_id": {"any_": [kind]}}}
    schema = machine.ask("POST", "/api/block_schemas/filter", json=wanted).json()[0]["id"]
    made = {"name": "away-store", "data": {"url": url}, "block_type_id": kind, "block_schema_id": schema}
    answer = machine.ask("POST", "/api/block_documents/", json=made)
    assert answer.status_code == 201, answer.text
    return {"$ref": {"block_document_id": answer.json()["id"]}}
