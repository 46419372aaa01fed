"""Findings of `check`, and Prefect servers for its tests."""

from __future__ import annotations

import pytest

STEPS = [
    *("configuration", "DNS", "TLS", "clock", "introspection", "scopes", "token expiry"),
    *("store", "disk", "disk use", "Prefect server", "schedule", "runner", "runs", "collection"),
]


def external(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")  # with ours it would be taken for our own
