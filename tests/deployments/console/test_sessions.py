"""Passwords, signed sessions, CSRF tokens, and the delay after wrong passwords."""

from __future__ import annotations

import pytest
from support.moving_clock import MovingClock

from blocks import clock
from deployments.console.passwords import Passwords
from deployments.console.sessions import DELAY_MAX_SECONDS, SESSION_SECONDS, LoginDelay, Role, Sessions

PASSWORDS = Passwords.derived("the operator's")


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(PASSWORDS)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    moved = MovingClock()
    monkeypatch.setattr(clock, "clock", moved)
    return moved


def test_each_password_has_its_role(sessions: Sessions) -> None:
    assert sessions.role_of("the operator's") is Role.OPERATOR
    assert sessions.role_of(" admin:the operator's\n") is Role.OPERATOR
    assert sessions.role_of(PASSWORDS.viewer or "") is Role.VIEWER
    assert sessions.role_of(f"viewer:{PASSWORDS.viewer}") is Role.VIEWER


@pytest.mark.parametrize("wrong", ["", "viewer:", "the operator", "THE OPERATOR'S", "the operator's ", "é", "\udcff"])
def test_another_password_has_none(sessions: Sessions, wrong: str) -> None:
    expected = Role.OPERATOR if wrong.strip() == "the operator's" else None
    assert sessions.role_of(wrong.encode("utf-8", "replace").decode()) is expected


def test_without_a_viewers_password_there_are_no_viewers() -> None:
    assert Sessions(Passwords("operator", None)).role_of("") is None


def test_the_viewers_password_changes_with_the_operators() -> None:
    other = Passwords.derived("another")
    assert other.viewer != PASSWORDS.viewer
    assert len(PASSWORDS.viewer or "") >= 20
    assert "operator" not in repr(PASSWORDS)


def test_a_session_is_read_back_by_another_process(sessions: Sessions) -> None:
    session = sessions.create(Role.VIEWER, "Ada")
    assert Sessions(PASSWORDS).decode(sessions.encode(session)) == session


def test_a_session_of_another_password_or_a_changed_one_is_none(sessions: Sessions) -> None:
    cookie = sessions.encode(sessions.create(Role.VIEWER, "Ada"))
    assert Sessions(Passwords.derived("rotated")).decode(cookie) is None
    for place in range(0, len(cookie), 7):
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        found = sessions.decode(changed)
        assert found is None or found == sessions.decode(cookie)  # the last bits of base64 may mean nothing
    assert sessions.decode("") is None
    assert sessions.decode("eyJhbGciOiJub25lIn0.eyJyb2xlIjoib3BlcmF0b3IifQ.") is None


def test_a_session_expires(sessions: Sessions, at: MovingClock) -> None:
    cookie = sessions.encode(sessions.create(Role.OPERATOR, ""))
    at.advance(SESSION_SECONDS - 1)
    assert sessions.decode(cookie) is not None
    at.advance(2)
    assert sessions.decode(cookie) is None


def test_a_csrf_token_is_of_one_session(sessions: Sessions) -> None:
    one, other = sessions.create(Role.OPERATOR, "a"), sessions.create(Role.OPERATOR, "a")
    assert sessions.is_csrf_token(one, sessions.csrf_token(one))
    assert not sessions.is_csrf_token(one, sessions.csrf_token(other))
    assert not sessions.is_csrf_token(one, "")
    assert not sessions.is_csrf_token(one, "ü")


def test_wrong_passwords_delay_the_address_longer_and_longer(at: MovingClock) -> None:
    delay, waits = LoginDelay(), []
    for _ in range(14):
        delay.failed("10.0.0.1")
        waits.append(delay.seconds_left("10.0.0.1"))
    assert waits[:2] == [0, 0]
    assert waits[2:5] == pytest.approx([1, 2, 4], abs=0.1)
    assert waits[-1] == pytest.approx(DELAY_MAX_SECONDS, abs=0.1)
    assert delay.seconds_left("10.0.0.2") == 0
    at.advance(DELAY_MAX_SECONDS + 1)
    assert delay.seconds_left("10.0.0.1") == 0


def test_the_right_password_ends_the_delay(at: MovingClock) -> None:
    delay = LoginDelay()
    for _ in range(4):
        delay.failed("10.0.0.1")
    at.advance(10)
    delay.succeeded("10.0.0.1")
    delay.failed("10.0.0.1")
    assert delay.seconds_left("10.0.0.1") == 0


def test_addresses_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.console.sessions.ADDRESSES_MAX", 10)
    delay = LoginDelay()
    for number in range(100):
        delay.failed(f"10.0.0.{number}")
    assert len(delay._failures) == 10
