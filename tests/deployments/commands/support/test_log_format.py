"""The option --log-format has precedence over the setting, and child processes get it."""

from __future__ import annotations

import os

import pytest

from blocks.errors import ThirdPartyConfigError
from deployments.commands.support.log_format import chosen_log_format

NAME = "ONEPASSWORD_SOURCE_LOG_FORMAT"


def test_the_option_has_precedence_and_reaches_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "json")
    assert chosen_log_format(None) == "json"
    assert chosen_log_format("text") == "text"
    assert os.environ[NAME] == "text"


def test_another_format_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "text")
    with pytest.raises(ThirdPartyConfigError, match="--log-format takes text, json"):
        chosen_log_format("xml")
