"""Every JSON output has a schema, and what the commands really print has the form of it: no member more, none less."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from receivers.server import receiving
from receivers.splunk import TOKEN, SplunkHec
from support import rich_store, siem_store
from support.command_calls import CommandCalls, source_config, write_document
from support.forwarding import outgoing
from support.json_schemas import SCHEMAS, output_of, problems, read_schema, require_schema
from support.paths import ROOT
from support.reference import build, json_outputs

from blocks.events_api.models import Api
from blocks.siem.formats import raw, registry
from blocks.siem.formats.event import StreamMetadata
from blocks.store.engine import open_engine
from deployments import cli
from deployments.json_records.outputs import OUTPUTS
from deployments.lazy_commands import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from deployments.sandbox.process import SandboxProcess

COMMAND = [sys.executable, "-m", "deployments.cli"]
READING = (
    ("actions",),
    ("status",),
    ("list",),
    ("coverage", "1Pass"),
    ("coverage", "1Pass", "--hours"),
    ("events", "1Pass"),
    ("health",),
    ("fields", "list"),
    ("fields", "add", "team", "region"),
    ("fields", "disable", "team"),
    ("fields", "enable", "team"),
    ("names", "list"),
    ("names", "import", "names.csv"),
    ("names", "remove", "x"),
    ("prune", "--older-than", "400d", "--dry-run"),
    ("verify", "1Pass"),
    ("verify", "1Pass", "--checkpoints", "saved.jsonl"),
    ("backfill", "1Pass", "--start", "2d", "--plan"),
    ("siem", "list"),
    ("siem", "status"),
    ("siem", "rejected", "soc"),
    ("siem", "rejected", "soc", "--discard", "--reason", "a test", "--yes"),
    ("env",),
    ("install-service", "--dry-run", "--root", "machine"),
    ("install-service", "--root", "machine"),
)
"""What needs no Prefect. The rest is in the tests below."""
ELSEWHERE = {
    "healthz": "test_health_pages",
    "sandbox": "test_sandbox",
    "backup": "test_backup_and_restore",
    "restore": "test_backup_and_restore",
    "move": "test_move",
}
"""Outputs that another test compares."""


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_a_schema_is_one_and_says_what_every_member_is(output: Any) -> None:
    made = read_schema(output.name)
    Draft202012Validator.check_schema(made)
    assert made["$id"] == f"urn:onepassword-source:schema:{output.name}"
    members = [one for each in made.get("$defs", {}).values() for one in each["properties"].values()]
    assert all(one["description"] for one in members)


def test_the_committed_schemas_are_current() -> None:
    made = dict(json_outputs.schema_files())
    assert {f"schemas/{path.name}" for path in SCHEMAS.glob("*.json")} == set(made)
    assert [name for name, text in made.items() if (build.REFERENCE / name).read_text() != text] == []


def test_every_command_with_json_has_an_output_and_every_output_a_command() -> None:
    with_json = {" ".join(path) for path, command in _commands(cli.app) if _has_json(command)}
    named = {output.command for output in OUTPUTS}
    assert with_json - named == set()
    assert named - with_json == {"sandbox", "up"}


def _commands(group: LazyGroup, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.commands:
        command = group.load(name)
        if isinstance(command, LazyGroup):
            yield from _commands(command, (*above, name))
        else:
            yield (*above, name), command


def _has_json(command: Any) -> bool:
    return "--json" in {flag for each in command.params for flag in each.opts}


def test_a_member_that_a_schema_does_not_list_is_found() -> None:
    good = {"source": "a", "source_id": "b", "stopped": True}
    assert problems("start", good) == []
    assert problems("start", {**good, "more": 1}) != []
    assert problems("start", {"source": "a", "source_id": "b"}) != []
    assert problems("start", {**good, "stopped": "yes"}) != []
    assert problems("list", [{**dict.fromkeys(("source", "source_id", "base_url"), "a"), "health": "fine"}]) != []


@pytest.fixture(scope="module")
def files(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two stores with SOURCE and a SIEM: an empty one, and a rich one."""
    made = {name: tmp_path_factory.mktemp(name) / "events.db" for name in ("empty", "rich")}
    for name, file in made.items():
        shutil.copy(migrated_sqlite, file)
        opened = open_engine(f"sqlite:///{file}")
        if name == "empty":
            rich_store.create(opened)
        else:
            rich_store.fill(opened, f"sqlite:///{file}")
        opened.dispose()
    return made


@pytest.fixture(params=["empty", "rich"])
def store(request: pytest.FixtureRequest, files: dict[str, Path], own_directory: Path) -> Iterator[Engine]:
    """A copy of one of the two as the store of the environment, and the files that the commands read."""
    shutil.copy(files[request.param], own_directory / "events.db")
    Path("names.csv").write_text("uuid,kind,name,vault_uuid\nv1,vault,Payroll,\ni1,item,Bank,v1\n")
    opened = open_engine(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"])
    yield opened
    opened.dispose()


rich = pytest.mark.parametrize("store", ["rich"], indirect=True)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_what_a_command_prints_has_the_form_of_its_schema(
    arguments: tuple[str, ...], store: Engine, call: CommandCalls
) -> None:
    if "saved.jsonl" in arguments:
        line = call("verify", "1Pass", "--print-checkpoint")
        require_schema("checkpoint", json.loads(line))
        Path("saved.jsonl").write_text(line)
    if arguments[:2] in {("fields", "enable"), ("fields", "disable")}:
        call("fields", "add", "team")
    if arguments == ("names", "list"):
        call("names", "import", "names.csv")
    code = cli.main([*arguments, "--json"]) if arguments == ("status",) else cli.DONE
    call.json(*arguments, code=code)


@rich
def test_the_rich_store_shows_what_the_schemas_are_for(store: Engine, call: CommandCalls) -> None:
    """Otherwise the schemas of these records would be compared with nothing."""
    (status,) = call.json("status", code=cli.IN_ERROR)
    assert all(status[name] for name in ("backfills", "siems", "open", "apis"))
    (pair,) = call.json("siem", "status", code=cli.DONE)
    assert any(one["rejected"] for one in pair["apis"])
    assert any(one["failing_since"] for one in status["apis"])
    assert any(one["quarantined"] for one in status["apis"])
    apis = call.json("coverage", "1Pass")["apis"]
    assert any(one["gaps"] for one in apis)
    assert any(one["collected"] for one in apis)
    assert len(call.json("events", "1Pass")) > 40


@rich
def test_a_damaged_chain(store: Engine, call: CommandCalls) -> None:
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET body = '{}' WHERE id = (SELECT min(id) FROM events)")
    found = call.json("verify", "1Pass", code=cli.IN_ERROR)
    assert any(one["first_damaged"] for one in found["apis"])


@rich
@pytest.mark.parametrize(
    ("arguments", "name"), [(("events", "1Pass"), "event"), (("health", "--since", "30d"), "health-event")]
)
def test_each_line_of_follow(arguments: tuple[str, ...], name: str, store: Engine, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    command = [*COMMAND, *arguments, "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
    for line in lines:
        require_schema(name, json.loads(line))


@pytest.mark.parametrize("classifier", ["event-id", "parser", None])
@pytest.mark.parametrize("account", ["A" * 26, None])
def test_an_event_as_a_webhook_gets_it(classifier: Any, account: str | None) -> None:
    stream = StreamMetadata(Api.AUDIT, "1Pass", category="sec", classifier=classifier)
    (event,) = outgoing(1, body=json.dumps({"action": "join", **({"account_uuid": account} if account else {})}))
    found = json.loads(raw.envelope(registry.format_event("raw", event, stream)))
    require_schema("webhook-event", found)
    assert found["event"]["action"] == "join"


# With Prefect


def _tested() -> set[str]:
    reading = {output_of(arguments, []).name for arguments in READING} | {"checkpoint", "event", "health-event"}
    return reading | {"webhook-event"} | set(ELSEWHERE) | set(WITH_PREFECT)


WITH_PREFECT = (
    "apply",
    "apply-siems",
    "collect",
    "restart",
    "token",
    "stop",
    "start",
    "rename",
    "delete",
    "backfill",
    "reconcile",
    "check",
    "secrets-rotate",
    "prune",
    "prune-schedule",
    "prune-no-schedule",
    "siem-add",
    "siem-test",
    "siem-run",
    "siem-pause",
    "siem-resume",
    "siem-replay",
    "siem-remove",
)


def test_every_output_is_compared_somewhere() -> None:
    assert {output.name for output in OUTPUTS} - _tested() == set()
    for name, file in ELSEWHERE.items():
        (test,) = (ROOT / "tests").rglob(f"{file}.py")
        assert f'require_schema("{name}"' in test.read_text()


@pytest.mark.prefect
def test_the_life_of_a_source(
    call: CommandCalls, api: SandboxProcess, own_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_document("source.json", {"source": source_config("life", api, collect_from="7d")})
    call.json("apply", "source.json")
    call.json("apply", "source.json")
    assert call.json("collect", "life")["apis"]
    call.json("stop", "life")
    call.json("start", "life")
    call.json("rename", "life", "life 2")
    call.json("restart", "life 2")
    monkeypatch.setattr("deployments.commands.token.token_from_environment", lambda: api.token)
    call.json("token", "life 2")
    call.json("backfill", "life 2", "--start", "2d")
    assert "changed" in call.json("reconcile", "life 2")
    call.json("check", "life 2", code=_code_of_check(call))
    call.json("prune", "life 2", "--older-than", "400d", "--yes")
    call.json("prune", "life 2", "--older-than", "400d", "--schedule", "daily")
    call.json("prune", "life 2", "--no-schedule")
    call.json("delete", "life 2")
    call.json("delete", "life 2", "--purge", "--yes")


def _code_of_check(call: CommandCalls) -> int:
    return cli.main(["check", "life 2", "--json"])


@pytest.mark.prefect
def test_the_life_of_a_siem(
    call: CommandCalls, api: SandboxProcess, own_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLUNK_TOKEN_OF_TEST", TOKEN)
    write_document("source.json", {"source": source_config("sent", api, fields={"_siemForward": True})})
    call("apply", "source.json")
    siem_store.commit(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"], "sent", 12)
    rules = [{"drop": {"action": ["fill"]}}, {"remove": ["location"]}]
    with receiving(SplunkHec()) as splunk:
        config = {"url": splunk.url, "token": TOKEN, "rules": rules}
        write_document("siem.json", {"siem": {"name": "hec", "type": "splunk", "sources": ["sent"], "config": config}})
        call.json("apply", "siem.json")
        sets = (f"url={splunk.url}", 'token={"env":"SPLUNK_TOKEN_OF_TEST"}')
        options = [part for one in sets for part in ("--set", one)]
        call.json("siem", "add", "hec 2", "--type", "splunk", "--source", "sent", *options)
        samples = call.json("siem", "test", "hec")["events"]
        assert {"record" in one for one in samples} == {"filtered_by" not in one for one in samples}
        call.json("siem", "test", "hec", "--offline")
        call.json("siem", "run", "hec")
        call.json("siem", "pause", "hec")
        call.json("siem", "resume", "hec")
        call.json("siem", "replay", "hec", "--from", "1d", "--yes")
        call.json("siem", "replay", "hec", "--rejected")
        call.json("siem", "remove", "hec", "--yes")


def test_new_secrets(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {"ONEPASSWORD_SOURCE_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [*COMMAND, "secrets", "rotate", "--json"], env=env, capture_output=True, text=True, check=True
    )
    require_schema("secrets-rotate", json.loads(done.stdout))
