"""What a run says it came to."""

from __future__ import annotations

import pytest
from support.moving_clock import START_NS, MovingClock

from blocks import clock
from blocks.errors import ClaimLostError, FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.store.claims import Holder
from blocks.store.streams import StreamView
from tasks import verdict
from tasks.support.drain import CollectResult

MINUTE = 60 * 10**9


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "clock", MovingClock())


HOLDER = Holder("another", "host-b", 4711, START_NS - 2 * MINUTE)


def view(api: Api, *, failing: bool = False, error: str | None = None, holder: Holder | None = HOLDER) -> StreamView:
    return StreamView(
        id=1,
        api=api,
        cursor=None,
        cursor_version=None,
        cursor_dropped_ns=None,
        newest_ns=None,
        drained_ns=None,
        quiet_ns=None,
        holder="another",
        claim_expires_ns=START_NS,
        failing_since_ns=START_NS - 5 * MINUTE if failing else None,
        error_type=error,
        error_code=None,
        error_message="It said no." if error or failing else None,
        stopped_fingerprint=None,
        claimed_by=holder,
    )


def test_what_came_and_how_late_it_is() -> None:
    found = verdict.collect_verdict(
        "1Pass",
        {
            "sign-in": CollectResult("sign-in", new=1200, newest_ns=START_NS - 3 * MINUTE),
            "audit": CollectResult("audit", new=1, quarantined=2, newest_ns=START_NS - 90 * MINUTE),
        },
    )
    expected = "1,201 new events (sign-in 1,200, audit 1), the newest 3 min ago; 2 put in quarantine."
    assert found == verdict.Verdict("Collected", expected)


def test_one_event_is_one_event() -> None:
    assert verdict.collect_verdict("1Pass", {"audit": CollectResult("audit", new=1)}).message.startswith(
        "1 new event ("
    )


def test_what_is_the_same_for_several_apis_is_said_once() -> None:
    error = ThirdPartyConfigError("The token is refused.", hint="Renew it.")
    found = verdict.collect_verdict("1Pass", {"sign-in": error, "audit": error})
    assert found == verdict.Verdict("ThirdPartyConfigError", "sign-in, audit: The token is refused. Renew it.")


def test_the_gravest_error_names_the_run_and_what_was_collected_is_said_too() -> None:
    found = verdict.collect_verdict(
        "1Pass",
        {
            "sign-in": ThirdPartyGenericError("500."),
            "itemUsage": FirstPartyGenericError("gone."),
            "audit": CollectResult("audit", new=7),
        },
        stopped=[view(Api.AUDIT, error="ThirdPartyConfigError")],
    )
    assert found.name == "ThirdPartyConfigError"
    assert found.in_error
    assert "7 new events" in found.message
    assert f"audit: It said no. {verdict.restart_hint('1Pass')}" in found.message


def test_an_api_that_waits_in_another_run_is_no_error_of_this_one() -> None:
    found = verdict.collect_verdict(
        "1Pass", {"audit": CollectResult("audit")}, elsewhere=[view(Api.SIGN_IN, failing=True)]
    )
    assert found.name == "Collected"
    assert "sign-in: retrying since 2026-09-21T14:08:20Z in another run. It said no." in found.message


def test_where_all_wait_in_another_run_it_does_not_say_collected() -> None:
    assert (
        verdict.collect_verdict("1Pass", {}, elsewhere=[view(Api.SIGN_IN, failing=True), view(Api.AUDIT)]).name
        == "Retrying"
    )


def test_where_another_run_has_every_api_it_says_which_and_since_when() -> None:
    found = verdict.collect_verdict("1Pass", {}, elsewhere=[view(Api.SIGN_IN), view(Api.AUDIT)])
    assert found == verdict.Verdict(
        "Skipped",
        "sign-in, audit: flow run another on host-b (process 4711) is reading it, since 2026-09-21T14:11:20Z.",
    )
    assert not found.in_error


@pytest.mark.parametrize(
    ("holder", "words"),
    [
        (None, "another run is reading it."),
        (Holder("x", None, None, None), "flow run x is reading it."),
        (Holder("x", "mac", None, START_NS), "flow run x on mac is reading it, since 2026-09-21T14:13:20Z."),
    ],
)
def test_what_is_unknown_of_another_run_is_left_out(holder: Holder | None, words: str) -> None:
    found = verdict.collect_verdict("1Pass", {}, elsewhere=[view(Api.AUDIT, holder=holder)])
    assert found.message == f"audit: {words}"


def test_where_another_run_has_one_api_the_others_are_collected() -> None:
    found = verdict.collect_verdict("1Pass", {"audit": CollectResult("audit", new=2)}, elsewhere=[view(Api.SIGN_IN)])
    assert found.name == "Collected"
    assert "sign-in: flow run another on host-b" in found.message


def test_an_error_of_an_api_goes_before_those_that_others_have() -> None:
    stopped = [view(Api.AUDIT, error="ThirdPartyConfigError")]
    assert (
        verdict.collect_verdict("1Pass", {}, stopped=stopped, elsewhere=[view(Api.SIGN_IN)]).name
        == "ThirdPartyConfigError"
    )


def test_a_lost_claim_is_said_and_is_no_error() -> None:
    found = verdict.collect_verdict("1Pass", {"audit": ClaimLostError("Another run reads audit now.")})
    assert found == verdict.Verdict("Skipped", "audit: Another run reads audit now.")


def test_an_error_of_our_own_says_so_without_its_text() -> None:
    found = verdict.collect_verdict("1Pass", {"audit": ValueError("secret thing")})
    assert found.name == "FirstPartyGenericError"
    assert "An unexpected error in this program: ValueError" in found.message
    assert "secret" not in found.message


def test_a_stop_is_a_stop() -> None:
    found = verdict.collect_verdict("1Pass", {"audit": CollectResult("audit", new=5, note="stopped")}, stopping=True)
    assert found.name == "Stopped"
    assert not found.in_error


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172800, "2 d ago"), (-5, "0 s ago")],
)
def test_ages(seconds: int, words: str) -> None:
    assert verdict.format_ago(START_NS - seconds * 10**9) == words


def test_a_stop_while_all_wait_says_so() -> None:
    found = verdict.collect_verdict("1Pass", {}, stopping=True)
    assert found == verdict.Verdict("Stopped", "Every API waited for its next attempt.")
