"""What is written of a block: of a secret that is not set, nothing that Prefect's UI would show as one that is."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from blocks.siem.archive.block import Archive
from blocks.siem.webhook.block import Webhook
from deployments.prefect_api.block_documents import _data


def test_a_secret_that_is_not_set_is_null() -> None:
    block = Webhook(url=SecretStr("https://siem.example"))
    data = _data(block, {})
    assert data["url"] == "https://siem.example"
    assert block.unset_secrets() >= {"signing_secret", "headers"}
    assert {name for name, value in data.items() if value is None} >= block.unset_secrets()
    assert Webhook(**data) == block


@pytest.mark.parametrize("value", ["AKIA", ""])
def test_a_secret_that_is_set_is_written(value: str) -> None:
    block = Archive(url="s3://bucket", access_key_id=SecretStr(value))
    assert _data(block, {})["access_key_id"] == (value or None)
    assert Archive(**_data(block, {})).fingerprint() == block.fingerprint()
