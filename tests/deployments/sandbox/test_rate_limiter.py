"""The rate windows of the sandbox slide, count by account, and count no request that they reject."""

from __future__ import annotations

from deployments.sandbox.rate_limiter import RateLimiter, RequestWindow

SECOND = 10**9


def test_a_window_slides_with_each_request() -> None:
    limiter = RateLimiter((RequestWindow(2, 10.0),))
    assert [limiter.allow("a", at * SECOND) for at in (0, 4, 9)] == [True, True, False]
    assert limiter.allow("a", 10 * SECOND), "that of second 0 has left"
    assert [limiter.allow("a", at * SECOND) for at in (13, 14)] == [False, True]


def test_a_rejected_request_does_not_count() -> None:
    limiter = RateLimiter((RequestWindow(1, 10.0),))
    assert [limiter.allow("a", at * SECOND) for at in (0, 5, 9, 10)] == [True, False, False, True]


def test_all_windows_hold_and_accounts_are_apart() -> None:
    limiter = RateLimiter((RequestWindow(2, 1.0), RequestWindow(3, 100.0)))
    assert [limiter.allow("a", at * SECOND) for at in (0, 0, 0, 2, 4)] == [True, True, False, True, False]
    assert limiter.allow("b", 4 * SECOND)


def test_other_windows_begin_empty_and_none_allow_everything() -> None:
    limiter = RateLimiter((RequestWindow(1, 10.0),))
    limiter.allow("a", 0)
    limiter.set((RequestWindow(1, 20.0),))
    assert [limiter.allow("a", at * SECOND) for at in (0, 19)] == [True, False]
    limiter.set(())
    assert all(limiter.allow("a", 0) for _ in range(1000))
