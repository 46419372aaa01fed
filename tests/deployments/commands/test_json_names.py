"""The names in `--json` are those of docs/reference/json.md: no more, no fewer, and none twice in other words."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.paths import ROOT
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import schema, sources, streams
from blocks.store.engine import open_engine
from deployments import cli
from deployments.json_records import backups, coverage, events, forwarding, store
from deployments.json_records import sources as sources_records
from deployments.json_records.names import MEANINGS, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = [name for names in SECTIONS.values() for name in names]
DOCUMENTED = set(LISTED)
OPEN = {"config", "body", "purged"}
"""Members whose own members are the SIEM's, 1Password's, or APIs."""
OTHER = {"env.py", "sandbox.py", "page.py"}
"""What Prefect, `apply` and plotly read has their names."""
READING = (
    ("actions",),
    ("status",),
    ("list",),
    ("coverage", "1Pass"),
    ("coverage", "1Pass", "--hours"),
    ("events", "1Pass"),
    ("fields", "list"),
    ("names", "list"),
    ("names", "remove", "x"),
    ("fields", "add", "team"),
    ("prune", "--older-than", "400d", "--dry-run"),
    ("verify", "1Pass"),
    ("backfill", "1Pass", "--start", "2d", "--plan"),
    ("siem", "list"),
    ("siem", "status"),
)


def _makes_json(function: ast.FunctionDef) -> bool:
    return "json" in function.name or any(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_json" for node in ast.walk(function)
    )


def written() -> set[str]:
    """The keys of the dictionaries in all functions of commands, and of what they share, that make JSON."""
    commands = (ROOT / "deployments" / "commands").rglob("*.py")
    return {
        key.value
        for path in (*commands, *(ROOT / "deployments").glob("*.py"))
        if path.name not in OTHER
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and _makes_json(function)
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }


def names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from names(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            if name not in OPEN:
                yield from names(each)


def test_the_page_has_the_names_that_the_commands_write() -> None:
    assert written() - DOCUMENTED == set()
    assert DOCUMENTED - written() == set()


def test_no_name_stands_twice_in_the_page() -> None:
    assert sorted(DOCUMENTED) == sorted(LISTED)
    page = (ROOT / "docs" / "reference" / "json.md").read_text()
    assert [name for name in LISTED if page.count(f"\n| `{name}` | {MEANINGS[name]} |") != 1] == []


def test_the_names_are_those_of_the_types() -> None:
    members = {name for record in records() for name in record.__annotations__}
    assert DOCUMENTED - members == set()


def records() -> Iterator[Any]:
    """All records of a module of `json_records`, and what they inherit."""
    for module in (backups, coverage, events, forwarding, sources_records, store):
        yield from (one for one in vars(module).values() if hasattr(one, "__required_keys__"))


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_what_a_command_prints_is_documented(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    engine = open_engine(url)
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    streams.of_source(engine, SOURCE.id, tuple(Api))
    engine.dispose()
    assert cli.main([*arguments, "--json"]) == cli.DONE
    assert set(names(json.loads(capsys.readouterr().out))) - DOCUMENTED == set()


def test_every_command_that_prints_data_has_json() -> None:
    silent = {
        "up",
        "console",
        "server",
        "worker",
        "migrate",
        "demo",
        "export",
        "sandbox",
    }  # `export` and `sandbox` print JSON in any case
    missing = [
        path
        for path, command in _commands(cli.app)
        if path[0] not in silent and "--json" not in {flag for each in command.params for flag in each.opts}
    ]
    assert missing == []


def _commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.commands:
        command = group.load(name)
        if hasattr(command, "commands"):
            yield from _commands(command, (*above, name))
        else:
            yield (*above, name), command
