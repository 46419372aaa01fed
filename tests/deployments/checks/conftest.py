"""Checks of servers whose certificates one authority has signed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_authority(one_authority: None) -> None:
    """All checks trust it alone."""
