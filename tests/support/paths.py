"""Paths of the tests' files."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
SUPPORT = TESTS / "support"
STAND_IN = TESTS / "deployments" / "stand_in"
"""What tests run in place of parts of `up`."""
