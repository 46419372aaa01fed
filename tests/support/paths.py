"""Where files of the tests are, from any test."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
SUPPORT = TESTS / "support"
STAND_IN = TESTS / "deployments" / "stand_in"
"""The part of `up` that tests replace."""
