"""The environment of a Prefect server that several machines share, and the files of its certificate."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blocks.errors import ThirdPartyConfigError
from deployments.prefect_api import shared_server
from deployments.prefect_api.server_access import ListenAddress
from deployments.prefect_api.shared_server import AUTH, DATABASE, KEY

ALL = {AUTH: "admin:password", KEY: "a key", DATABASE: "postgresql+asyncpg://db.example.com/prefect"}
AT = ListenAddress("0.0.0.0", "https://prefect.example.com")  # noqa: S104 - all machines reach it
MEANINGS = {
    AUTH: f"{AUTH} (the API's user:password)",
    KEY: f"{KEY} (the key that encrypts tokens in the database)",
    DATABASE: f"{DATABASE} (Prefect's database: postgresql+asyncpg://…)",
}


@pytest.fixture(autouse=True)
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An environment of its own, without what this process has set for Prefect. Returns what was left."""
    left: list[str] = []
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    monkeypatch.setattr(os, "environ", own)
    monkeypatch.setattr(shared_server.os, "environ", own)
    monkeypatch.setattr(shared_server.working_directory, "leave", lambda: left.append("the working directory"))
    return left


def test_the_server_has_the_secrets_and_the_database_that_it_is_given(left: list[str]) -> None:
    os.environ.update(ALL, PREFECT_API_URL="https://of-the-workers/api")
    shared_server.activate(AT)
    for name, value in ALL.items():
        assert os.environ[name] == value
    assert left == ["the working directory"]
    assert os.environ["PREFECT_API_AUTH_STRING"] == "admin:password"
    assert os.environ["PREFECT_SERVER_API_HOST"] == "0.0.0.0"  # noqa: S104 - as above
    assert "https://prefect.example.com" in os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]
    assert "PREFECT_API_URL" not in os.environ
    assert os.environ["PREFECT_SERVER_DATABASE_TIMEOUT"] == "60"
    assert os.environ["PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT"] == "30"


def test_a_longer_wait_for_the_database_stays() -> None:
    os.environ.update(ALL, PREFECT_SERVER_DATABASE_TIMEOUT="300")
    shared_server.activate(AT)
    assert os.environ["PREFECT_SERVER_DATABASE_TIMEOUT"] == "300"


@pytest.mark.parametrize("missing", [(AUTH,), (KEY,), (DATABASE,), (AUTH, DATABASE), (AUTH, KEY, DATABASE)])
@pytest.mark.parametrize("empty", [False, True])
def test_no_server_is_started_without_a_secret_or_its_database(missing: tuple[str, ...], empty: bool) -> None:
    os.environ.update({name: value for name, value in ALL.items() if name not in missing})
    os.environ.update(dict.fromkeys(missing, "") if empty else {}, PREFECT_API_URL="kept")
    with pytest.raises(ThirdPartyConfigError) as raised:
        shared_server.activate(AT)
    assert (raised.value.code, str(raised.value)) == (
        "setting",
        (
            f"Not set: {', '.join(MEANINGS[name] for name in missing)}. The server was not started. Set each, or name "
            "a file that holds it with _FILE at the end of the variable. For one machine, `onepassword-source up` "
            "needs none of them."
        ),
    )
    assert os.environ["PREFECT_API_URL"] == "kept"
    assert "PREFECT_SERVER_API_HOST" not in os.environ


@pytest.mark.parametrize(("value", "url"), [("postgresql+asyncpg://x/y", "postgresql+asyncpg://x/y"), ("", None)])
def test_the_database_is_that_of_the_environment(value: str, url: str | None) -> None:
    assert shared_server.prefect_database_url() is None
    os.environ[DATABASE] = value
    assert shared_server.prefect_database_url() == url


# The files of its certificate


def test_a_certificate_and_its_key_are_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cert.pem", "key.pem"):
        Path(name).write_text("")
    found = shared_server.tls_files(Path("cert.pem"), Path("key.pem"))
    assert found == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    assert shared_server.tls_files(None, None) is None


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("here", None, "--tls-key is missing."),
        (None, "here", "--tls-certificate is missing."),
        ("gone", "here", "--tls-certificate names no file that can be read."),
        ("here", "gone", "--tls-key names no file that can be read."),
        ("gone", None, "--tls-certificate names no file that can be read."),
    ],
)
def test_one_without_the_other_is_an_error(tmp_path: Path, certificate: str | None, key: str | None, said: str) -> None:
    (tmp_path / "here").write_text("")
    files = [None if name is None else tmp_path / name for name in (certificate, key)]
    with pytest.raises(ThirdPartyConfigError) as raised:
        shared_server.tls_files(*files)
    assert (raised.value.code, str(raised.value)) == (
        "setting",
        f"{said} Give both --tls-certificate and --tls-key.",
    )
