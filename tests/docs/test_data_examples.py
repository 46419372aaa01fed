"""The examples of files and queries: each is read by what reads it for a user."""

from __future__ import annotations

import configparser
import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from sqlalchemy import text
from support import doc_examples, siems

from blocks.config.source_file import parse_sources
from blocks.events_api.models import Api
from blocks.secret_references.secret_reader import SecretReader
from blocks.siem.archive.block import Archive
from blocks.siem.configuration import parse_siems
from blocks.siem.privacy import rules

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from support.doc_examples import Example

EXAMPLES = doc_examples.examples()
TOKEN = "header.claims.signature"  # what stands for "…" and masks
ADDRESS = "https://endpoint4.collection.sumologic.com/receiver/v1/http/ZaVnC4dhaV0"
SECRET = "0123456789abcdef0123456789abcdef"
SOURCE_CONFIG = '"config": {"name": "x", "base_url": "events.1password.com", "supported_apis": ["audit"]}'
LANGUAGES = {"", "http", "indented", "ini", "json", "kusto", "python", "sh", "sql", "text", "yaml"}
NOT_READ = {
    "": "formats and searches of other products, which cannot run here; tests/blocks/siem has the formats",
    "kusto": "it needs a workspace of Microsoft's",
    "text": "output; the tutorial's is compared by test_walks.py",
}
ARCHIVES = "docs/siem/archive.md"
ATHENA = "CREATE EXTERNAL TABLE"
"""Athena is Amazon's; it needs an account."""
NOT_QUERIED = {ARCHIVES: "DuckDB's, below", "docs/install/kubernetes.md": "psql's, as the administrator of a server"}


def examples_in(language: str) -> list[Any]:
    return [pytest.param(example, id=example.id) for example in EXAMPLES if example.language == language]


def test_every_language_is_read_or_has_a_reason() -> None:
    found = {example.language for example in EXAMPLES}
    assert found == LANGUAGES
    assert set(NOT_READ) < found


@pytest.mark.parametrize("example", examples_in("json"))
def test_json_is_what_the_program_reads(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    body = example.text if example.text.lstrip().startswith(("{", "[")) else f"{{{example.text}}}"
    document = json.loads(body)
    if "source" in document and "sourceType" in body:
        body = body.replace('"config": {"…": "…"}', SOURCE_CONFIG)
        body = re.sub(r'"op://[^"]+"', f'"{TOKEN}"', body)  # it needs 1Password's `op`, and an account
        (config,) = parse_sources(body.replace("…", TOKEN).encode(), allowed_hosts=frozenset(), token=TOKEN)
        assert config.name
    elif "siem" in document:
        for name in re.findall(r'\{"env": "(\w+)"\}', body):
            monkeypatch.setenv(name, ADDRESS if name.endswith("URL") else SECRET)
        (siem,) = parse_siems(document, secrets=SecretReader())
        assert siem.sources
    elif "rules" in document:
        assert rules.parse(document["rules"], document.get("hash_key", ""))
    else:
        assert document


def test_the_examples_of_sources_and_siems_are_found() -> None:
    bodies = [example.text for example in EXAMPLES if example.language == "json"]
    assert len([body for body in bodies if '"sourceType"' in body]) >= 3
    assert len([body for body in bodies if '"siem":' in body]) >= 10


@pytest.mark.parametrize("example", [one for one in examples_in("sql") if one.values[0].page not in NOT_QUERIED])
def test_sql_runs_on_both_databases(example: Example, engine: Engine) -> None:
    with engine.connect() as connection:
        for statement in filter(str.strip, example.text.split(";")):
            assert connection.execute(text(statement)).all() == []


def test_duckdb_reads_an_archive(tmp_path: Path) -> None:
    for form in ("ndjson.gz", "parquet"):
        sender = Archive(url=tmp_path.as_uri(), format=form).get_sender()
        sender.send(siems.batch(sender, siems.events(Api.SIGN_IN, 5), siems.stream(Api.SIGN_IN)))
    queries, athena = (one.text for one in EXAMPLES if one.language == "sql" and one.page == ARCHIVES)
    assert athena.startswith(ATHENA)
    for query in filter(str.strip, queries.split(";")):
        assert len(duckdb.sql(query.replace("/var/lib/archive", str(tmp_path))).fetchall()) == 5


@pytest.mark.parametrize("example", examples_in("yaml"))
def test_yaml_is_read(example: Example) -> None:
    assert yaml.safe_load(example.text)


@pytest.mark.parametrize("example", examples_in("ini"))
def test_a_unit_is_read(example: Example) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string(example.text)
    assert unit.sections()


@pytest.mark.parametrize("example", examples_in("http"))
def test_the_body_of_a_request_is_json(example: Example) -> None:
    first, _, body = example.text.partition("\n")
    assert re.fullmatch(r"(GET|PUT|POST) \S+", first)
    assert first.startswith("GET") or json.loads(body)


@pytest.mark.parametrize("example", examples_in("python"))
def test_python_compiles(example: Example) -> None:
    assert compile(example.text, example.id, "exec")
