"""The JSON document of a source with changed members, and the problems that the product reports for it."""

from __future__ import annotations

import copy
import json
from typing import Any

import jwt
import pytest
from hypothesis import strategies as st

from blocks.config.source_file import ConfigurationError, Problem, SourceConfig, parse_sources

NOW = 1_795_000_000  # 2026-11-18T11:06:40Z
NONE: frozenset[str] = frozenset()
line = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf")), min_size=1, max_size=30)


def token(**claims: Any) -> str:
    return jwt.encode({"jti": "made up", **claims}, "k" * 32, algorithm="HS256")


TOKEN = token()
EXPORT: dict[str, Any] = {
    "api.version": "v1",
    "source": {
        "sourceType": "Universal",
        "schemaRef": {"type": "1Password"},
        "config": {
            "name": "1Pass",
            "description": None,
            "category": "sec/1password",
            "fields": {"_siemForward": True, "team": "blue"},
            "base_url": "events.1password.com",
            "api_token": TOKEN,
            "supported_apis": ["itemUsage", "sign-in"],
        },
    },
}


def config_of(**members: Any) -> dict[str, Any]:
    """The exported document with changed members in its config; the value `...` removes a member."""
    document = copy.deepcopy(EXPORT)
    config = {**document["source"]["config"], **members}
    document["source"]["config"] = {key: value for key, value in config.items() if value is not ...}
    return document


def several(*configs: dict[str, Any]) -> dict[str, Any]:
    return {"api.version": "v1", "sources": [config_of(**config)["source"] for config in configs]}


def parse(document: Any, **options: Any) -> list[SourceConfig]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_sources(data, **{"allowed_hosts": NONE, **options})


def one_source(**members: Any) -> SourceConfig:
    (config,) = parse(config_of(**members))
    return config


def problems_of(document: Any, **options: Any) -> list[Problem]:
    with pytest.raises(ConfigurationError) as raised:
        parse(document, **options)
    return list(raised.value.problems)


def the_problem(document: Any, **options: Any) -> Problem:
    (problem,) = problems_of(document, **options)
    return problem
