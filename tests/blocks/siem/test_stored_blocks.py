"""Blocks that a Prefect server stored under the version before still load, with every setting.

The fixture has one block of each kind, as the version before the rename of `shape` to `event_format` stored it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import BlockDocument, BlockSchema
from pydantic import SecretStr
from support.paths import FIXTURES

from blocks.siem.configuration import KINDS, block_class

if TYPE_CHECKING:
    from blocks.siem.base import SiemBlock

STORED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "stored_siem_blocks.json").read_text())


@pytest.fixture(autouse=True)
def no_prefect_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a block sends an event to Prefect's API. There is none here."""
    monkeypatch.setattr("prefect.blocks.core.emit_event", lambda **_: None)


def load(kind: str, **changes: object) -> SiemBlock:
    stored = STORED[kind]
    document = BlockDocument(
        id=uuid4(),
        name="stored",
        data={**stored["data"], **changes},
        block_schema_id=uuid4(),
        block_schema=BlockSchema(checksum=stored["checksum"], fields={}, block_type_id=uuid4()),
        block_type_id=uuid4(),
    )
    return block_class(kind)._from_block_document(document)


def settings(block: SiemBlock) -> dict[str, Any]:
    values = {name: getattr(block, name) for name in block.setting_fields()}
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_block_loads_with_every_setting(kind: str) -> None:
    block = load(kind).ensure_valid()
    stored = dict(STORED[kind]["data"])
    assert stored.pop("shape") == "ocsf"
    assert settings(block) == {**stored, "event_format": "ocsf", "with_names": False}


@pytest.mark.parametrize("kind", KINDS)
def test_the_slug_of_a_block_type_never_changes(kind: str) -> None:
    assert block_class(kind).get_block_type_slug() == STORED[kind]["slug"]


def test_a_stored_block_has_no_leftover_of_a_renamed_field() -> None:
    assert not hasattr(load("splunk"), "shape")


def test_a_block_in_the_present_form_keeps_its_format() -> None:
    data = {name: value for name, value in STORED["splunk"]["data"].items() if name != "shape"}
    assert block_class("splunk").model_validate({**data, "event_format": "ecs"}).event_format == "ecs"  # type: ignore[attr-defined]
