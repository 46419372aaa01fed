"""When a claim expires, and what a time in the future means."""

from __future__ import annotations

from blocks.store import claim_expiry
from blocks.store.claim_expiry import CLAIM_NS

SECOND = 10**9
REQUEST_AND_COMMIT, TICK = 120 * SECOND, 300 * SECOND


def test_a_claim_outlives_a_request_and_a_commit_and_expires_before_the_next_tick() -> None:
    assert REQUEST_AND_COMMIT < CLAIM_NS < TICK
    assert claim_expiry.expires_ns(5) == 5 + CLAIM_NS


def test_a_wait_comes_on_top_of_it_and_can_be_read_from_it() -> None:
    expires_ns = claim_expiry.expires_ns(5, wait_ns=900 * SECOND)
    assert expires_ns == 5 + 900 * SECOND + CLAIM_NS
    assert claim_expiry.waits_until_ns(expires_ns) == 5 + 900 * SECOND


def test_only_a_time_that_no_claim_could_have_means_that_the_clock_was_set_back() -> None:
    assert not claim_expiry.is_ahead(5 + CLAIM_NS, 5)
    assert claim_expiry.is_ahead(6 + CLAIM_NS, 5)
