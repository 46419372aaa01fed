"""Whether a sign-in attempt succeeded."""

from __future__ import annotations

from typing import Literal

SignInOutcome = Literal["success", "failure", "unknown"]

OUTCOMES: dict[str, SignInOutcome] = {
    "success": "success",
    "firewall_reported_success": "success",  # let in, and reported by a rule that does not block
    "credentials_failed": "failure",
    "mfa_failed": "failure",
    "sso_failed": "failure",
    "modern_version_failed": "failure",
    "firewall_failed": "failure",
}
"""By category. Elastic's integration reads them the same way."""


def classify(category: object) -> SignInOutcome:
    """A category that is not documented is a failure where it is named so, else unknown."""
    if not isinstance(category, str):
        return "unknown"
    return OUTCOMES.get(category) or ("failure" if category.endswith("_failed") else "unknown")
