"""`secrets rotate`: which secrets are new, what to do next, and the secrets that are not on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from deployments import cli
from deployments.prefect_api import server_access, server_secrets

if TYPE_CHECKING:
    from support.command_calls import CommandCalls

PASSWORD = "The API password is new. Log in to the Prefect UI with the one that `up` prints.\n"
KEY = (
    "The encryption key is new. 1,234 blocks are encrypted with it.\n"
    "Older backups of Prefect's database need the older secrets.json.\n"
)
SHELLS = 'In each shell that uses Prefect\'s own commands: eval "$(onepassword-source env)"\n'
DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")


@dataclass
class Secrets:
    """The secrets of this machine: what of them was rotated."""

    rotated: list[tuple[bool, bool]] = field(default_factory=list)

    def rotate(self, *, password: bool, key: bool) -> int:
        self.rotated.append((password, key))
        return 1234


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    own = Secrets()
    monkeypatch.setattr(server_secrets, "rotate", own.rotate)
    monkeypatch.setattr(server_access, "external_url", lambda: None)
    for name in DATABASES:
        monkeypatch.delenv(name, raising=False)
    return own


@pytest.mark.parametrize(
    ("flags", "rotated", "printed"),
    [
        ((), (True, True), PASSWORD + KEY + SHELLS),
        (("--password-only",), (True, False), PASSWORD + SHELLS),
        (("--key-only",), (False, True), KEY + SHELLS),
    ],
)
def test_both_are_rotated_or_the_one_that_is_named(
    call: CommandCalls, secrets: Secrets, flags: tuple[str, ...], rotated: tuple[bool, bool], printed: str
) -> None:
    assert call("secrets", "rotate", *flags) == printed
    assert secrets.rotated == [rotated]


@pytest.mark.parametrize(
    ("flags", "password", "key"),
    [((), True, True), (("--password-only",), True, False), (("--key-only",), False, True)],
)
def test_a_script_reads_which_are_new(call: CommandCalls, flags: tuple[str, ...], *, password: bool, key: bool) -> None:
    found = call.json("secrets", "rotate", *flags)
    assert found == {"password_rotated": password, "key_rotated": key, "blocks": 1234}


def test_the_two_exclude_each_other(call: CommandCalls, secrets: Secrets) -> None:
    call("secrets", "rotate", "--password-only", "--key-only", code=cli.WRONG_USE)
    assert call.err == (
        "onepassword-source: --password-only and --key-only exclude each other. Leave both out to rotate both.\n"
    )
    assert secrets.rotated == []


def test_a_server_of_the_users_own_is_left_alone(
    call: CommandCalls, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_access, "external_url", lambda: "https://prefect.example.com/api")
    call("secrets", "rotate", code=cli.IN_ERROR)
    assert call.err == (
        "onepassword-source: PREFECT_API_URL is set to https://prefect.example.com/api. Its secrets are not on this "
        "machine. Nothing was changed. Rotate them where it runs, or unset PREFECT_API_URL to rotate those of this "
        "machine's Prefect.\n"
    )
    assert secrets.rotated == []


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_of_the_users_own_is_left_alone(
    call: CommandCalls, secrets: Secrets, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "postgresql+asyncpg://prefect")
    call("secrets", "rotate", code=cli.IN_ERROR)
    assert call.err == (
        f"onepassword-source: {name} is set, so Prefect's blocks are in your own database, which this command does "
        "not change. Unset it if this machine's Prefect has its own database.\n"
    )
    assert secrets.rotated == []


def test_an_empty_url_names_no_database(call: CommandCalls, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASES[0], "")
    call("secrets", "rotate")
    assert secrets.rotated == [(True, True)]
