"""The configuration of a source as a file, without its token."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.chains import Filled
from support.values import SOURCE

from blocks.config.source_file import parse_sources
from blocks.store import audit_log
from deployments import deferred

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

TOKEN = "the-token"


def test_the_export_is_what_the_command_writes_without_the_token(
    filled: Filled, store: Engine, operator: ConsoleClient, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {"name": "1Pass", "base_url": "https://events.1password.com", "supported_apis": ["audit"]}
    document = {
        "source": {
            "sourceType": "Universal",
            "schemaRef": {"type": "1Password"},
            "config": {**members, "api_token": TOKEN},
        }
    }
    config = parse_sources(json.dumps(document).encode(), allowed_hosts=frozenset())[0]
    block = SimpleNamespace(config=lambda: config)
    lifecycle: Any = SimpleNamespace(locate=lambda _: SimpleNamespace(valid_block=lambda: block))
    monkeypatch.setattr(deferred, "lifecycle", lifecycle, raising=False)
    answer = operator.get(f"/console/sources/{SOURCE.id}/export.json")
    assert json.loads(answer.text)["source"]["config"]["name"] == "1Pass"
    assert "the-token" not in answer.text
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''1Pass.json"
    assert audit_log.newest(store, 1)[0].action == "export"
    assert viewer.get(f"/console/sources/{SOURCE.id}/export.json").status_code == 403
