"""The claims of a run: which APIs it gets, and what it releases when it ends early."""

from __future__ import annotations

from dataclasses import dataclass

from prefect.logging import disable_run_logger

from blocks.errors import FirstPartyGenericError
from tasks.support.claims import claim_each, release_each


@dataclass(frozen=True)
class View:
    api: str
    stopped_fingerprint: str | None = None


def test_an_api_is_claimed_or_stopped_or_held_by_another_run() -> None:
    mine, stopped, changed, other = View("sign-in"), View("audit", "now"), View("itemUsage", "before"), View("other")
    claims, in_error, elsewhere = claim_each(
        [mine, stopped, changed, other], "now", lambda view: None if view is other else f"claim of {view.api}"
    )
    assert claims == ("claim of sign-in", "claim of itemUsage"), "a changed configuration is tried again"
    assert in_error == (stopped,)
    assert elsewhere == (other,)


def test_a_stopped_api_is_not_claimed_at_all() -> None:
    requested: list[View] = []
    claim_each([View("audit", "now")], "now", requested.append)
    assert requested == []


def test_a_claim_that_cannot_be_released_does_not_keep_the_others() -> None:
    released: list[str] = []

    def release(claim: str) -> None:
        if claim == "second":
            raise FirstPartyGenericError("The store does not answer.")
        released.append(claim)

    with disable_run_logger():
        release_each(["first", "second", "third"], release)
    assert released == ["first", "third"]
