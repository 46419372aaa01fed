"""How long a step that fails is retried since its last progress, by whichever process has it."""

from __future__ import annotations

MINUTES = 90
SECONDS = MINUTES * 60
NS = SECONDS * 10**9
GIVEN_UP = f"It was tried for {MINUTES} minutes."
