"""Passwords, signed sessions and CSRF tokens."""

from __future__ import annotations

import pytest
from support.moving_clock import MovingClock

from deployments.console.passwords import Passwords
from deployments.console.sessions import SESSION_SECONDS, Role, Sessions

PASSWORDS = Passwords.derived("the operator's")


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(PASSWORDS)


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


def test_a_session_expires(sessions: Sessions, moving: MovingClock) -> None:
    cookie = sessions.encode(sessions.create(Role.OPERATOR, ""))
    moving.advance(SESSION_SECONDS - 1)
    assert sessions.decode(cookie) is not None
    moving.advance(2)
    assert sessions.decode(cookie) is None


def test_a_csrf_token_is_of_one_session(sessions: Sessions) -> None:
    one, other = sessions.create(Role.OPERATOR, "a"), sessions.create(Role.OPERATOR, "a")
    assert sessions.is_csrf_token(one, sessions.csrf_token(one))
    assert not sessions.is_csrf_token(one, sessions.csrf_token(other))
    assert not sessions.is_csrf_token(one, "")
    assert not sessions.is_csrf_token(one, "ü")
