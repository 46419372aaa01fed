"""The outcome of a sign-in attempt."""

from __future__ import annotations

from typing import Literal

SignInOutcome = Literal["success", "failure", "unknown"]

OUTCOMES: dict[str, SignInOutcome] = {
    "success": "success",
    "firewall_reported_success": "success",  # allowed, and reported by a rule that does not block
    "credentials_failed": "failure",
    "mfa_failed": "failure",
    "sso_failed": "failure",
    "modern_version_failed": "failure",
    "firewall_failed": "failure",
}
"""The outcome by category, as in Elastic's integration."""


def classify(category: object) -> SignInOutcome:
    """Return the outcome of a category. An undocumented one is a failure if it ends with _failed, else unknown."""
    if not isinstance(category, str):
        return "unknown"
    return OUTCOMES.get(category) or ("failure" if category.endswith("_failed") else "unknown")
