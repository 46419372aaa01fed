"""The JSON Schemas of the files that `apply` reads: what it accepts is valid, and what an editor should mark is not."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.json_schemas import read_schema
from support.paths import ROOT
from support.source_documents import EXPORT, TOKEN, config_of, parse, several, token

from blocks.config.source_file import parse_sources, to_json
from blocks.problems import ConfigurationError
from blocks.secret_references.secret_reader import SecretReader
from blocks.siem.configuration import KINDS, parse_siems

DOCS = ROOT / "docs"
SOURCES, SIEMS = (Draft202012Validator(read_schema(name)) for name in ("source-file", "siem-file"))
EXAMPLES = [
    (page.relative_to(DOCS), json.loads(text))
    for page in sorted(DOCS.rglob("*.md"))
    for text in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    if re.search(r'"schemaRef"|"sources": ?\[', text)
]
WHOLE = [(page, document) for page, document in EXAMPLES if '"…": ' not in json.dumps(document, ensure_ascii=False)]
"""Without those that leave members out."""


@pytest.mark.parametrize("schema", [SOURCES, SIEMS], ids=["source-file", "siem-file"])
def test_a_file_schema_is_one(schema: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(schema.schema)
    assert schema.schema["$id"].startswith("urn:onepassword-source:schema:")


@pytest.mark.parametrize(("page", "document"), WHOLE, ids=[str(page) for page, _ in WHOLE])
def test_an_example_of_the_documentation_is_valid(page: Any, document: Any) -> None:
    schema = SIEMS if {"siem", "siems"} & set(document) else SOURCES
    assert [error.message for error in schema.iter_errors(document)] == []


def test_an_example_of_each_kind_was_found() -> None:
    assert {document["siem"]["type"] for _, document in WHOLE if "siem" in document} == set(KINDS)
    assert [page for page, document in WHOLE if "source" in document]


RULE = {"name": "no fills", "filterType": "Exclude", "regexp": ".*fill.*"}
GOOD: list[dict[str, Any]] = [
    EXPORT,
    several({"name": "a"}, {"name": "b"}),
    config_of(description="free", collect_from="7d", silence_after="off", lag_after="2h", api_version="v1"),
    config_of(supported_apis=["signinattempts", "auditEvents"], fields=None, category=None),
    config_of(base_url=..., api_token=token(aud=["events.1password.com"]), description=..., category=..., fields=...),
    config_of(api_token="********", api_version=None),
    {**EXPORT, "$schema": "./schemas/source-file.json"},
]
HOSTED = copy.deepcopy(EXPORT)
HOSTED["source"] |= {
    "id": 100_000,
    "state": {"state": "Collecting"},
    "alive": True,
    "hashAlgorithm": "MD5",
    "filters": [RULE],
}
HOSTED["source"]["schemaRef"]["version"] = "1.0.0"


@pytest.mark.parametrize("document", [*GOOD, HOSTED])
def test_what_apply_accepts_is_valid(document: dict[str, Any]) -> None:
    assert parse(document, token=TOKEN)
    assert [error.message for error in SOURCES.iter_errors(document)] == []


@given(st.sampled_from(GOOD), st.data())
def test_a_file_that_apply_accepts_after_any_change_is_valid(document: dict[str, Any], data: st.DataObject) -> None:
    """The schema must never mark what is right; it need not find all that is wrong."""
    changed = copy.deepcopy(document)
    source = changed.get("source") or changed["sources"][0]
    target = data.draw(st.sampled_from([changed, source, source["schemaRef"], source["config"]]))
    name = data.draw(st.sampled_from([*target, "filters", "hashAlgorithm", "state", "api_version", "unknown"]))
    value = data.draw(st.sampled_from([None, "", "v1", "off", "24h", 7, True, [], ["audit"], {}, [RULE], {"team": 1}]))
    target[name] = value
    try:
        parse(changed, token=TOKEN)
    except ConfigurationError:
        return
    assert [error.message for error in SOURCES.iter_errors(changed)] == []


@pytest.mark.parametrize(
    "document",
    [
        {"source": {}, "sources": []},
        {},
        config_of(nmae="typo"),
        config_of(name=...),
        config_of(supported_apis=["sign-ins"]),
        config_of(supported_apis=[]),
        config_of(fields={"_siemForward": "true"}),
        config_of(api_version="v3"),
        config_of(api_token={"env": "A", "file": "/b"}),
        {**EXPORT, "siem": {}},
    ],
)
def test_what_apply_rejects_is_marked(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        parse(document)
    assert not SOURCES.is_valid(document)


def test_an_export_is_valid() -> None:
    (config,) = parse(EXPORT)
    assert SOURCES.is_valid(json.loads(to_json(config)))


def test_apply_ignores_the_schema_that_a_file_names() -> None:
    document = {"$schema": "./source-file.json", **config_of()}
    (config,) = parse_sources(json.dumps(document).encode(), allowed_hosts=frozenset())
    assert json.loads(to_json(config)).keys() == {"api.version", "source"}
    siem = {"name": "soc", "type": "webhook", "sources": ["1Pass"], "config": {"url": "https://example.org/x"}}
    assert [one.name for one in parse_siems({"$schema": "./siem-file.json", "siem": siem})] == ["soc"]


SPLUNK = {"name": "soc", "type": "splunk", "sources": ["1Pass"], "config": {"url": "https://a.example", "token": "t"}}


def siem(**config: Any) -> dict[str, Any]:
    members = {**SPLUNK["config"], **config}
    return {"siem": {**SPLUNK, "config": {name: value for name, value in members.items() if value is not ...}}}


@pytest.mark.parametrize("secret", ["t", None, ..., {"env": "TOKEN"}, {"file": "/run/token"}, "op://v/i/f"])
def test_each_form_of_a_secret_is_valid(secret: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t")
    assert SIEMS.is_valid(siem(token=secret))
    if secret in ("t", None, ..., {"env": "TOKEN"}):
        assert parse_siems(siem(token=secret), secrets=SecretReader())


@pytest.mark.parametrize(
    "document",
    [
        {"siem": SPLUNK, "siems": [SPLUNK]},
        {"siem": {**SPLUNK, "type": "splunky"}},
        {"siem": {**SPLUNK, "sources": []}},
        siem(indx="a"),
        siem(url=...),
        siem(event_format="xml"),
        siem(token={"env": ""}),
        {"siem": {**SPLUNK, "type": "syslog"}},
    ],
)
def test_a_wrong_siem_is_marked(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        parse_siems(document, secrets=SecretReader())
    assert not SIEMS.is_valid(document)
