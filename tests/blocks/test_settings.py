"""The settings: environment variables, read at each use, and errors that name them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from support.fake_op import REFERENCE, FakeOp

from blocks import settings
from blocks.errors import ThirdPartyConfigError
from blocks.problems import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_empty_setting_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_PORT", "")
    assert (settings.read("PORT"), settings.port()) == (None, 4200)


def test_the_data_directory_is_made_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "a" / "b"))
    monkeypatch.delenv("ONEPASSWORD_SOURCE_DATABASE_URL", raising=False)
    assert settings.data_dir() == tmp_path / "a" / "b"
    assert stat.S_IMODE(settings.data_dir().stat().st_mode) == 0o700
    assert settings.database_url() == f"sqlite:///{tmp_path / 'a' / 'b' / 'events.db'}"


def test_a_data_directory_that_cannot_be_made_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "file" / "b"))
    with pytest.raises(ThirdPartyConfigError, match=r"file/b cannot be made: .*ONEPASSWORD_SOURCE_DATA_DIR"):
        settings.data_dir()


def test_allowed_hosts_are_trimmed_and_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_ALLOWED_HOSTS", " Proxy.Example ,, b.example,")
    assert settings.allowed_hosts() == {"proxy.example", "b.example"}


@pytest.mark.parametrize("text", ["1", "4200", "65535"])
def test_ports(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_PORT", text)
    assert settings.port() == int(text)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80 ", "٤٢", "9" * 5000])
def test_what_is_no_port(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_PORT", text)
    with pytest.raises(ThirdPartyConfigError, match="ONEPASSWORD_SOURCE_PORT"):
        settings.port()


@pytest.mark.parametrize(("text", "share"), [("0.01", 0.01), ("1", 1.0), (None, 0.8)])
def test_shares_of_a_backfill(text: str | None, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if text:
        monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKFILL_SHARE", text)
    assert settings.backfill_share() == share


@pytest.mark.parametrize("text", ["0.009", "1.01", "nan", "all"])
def test_what_is_no_share(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKFILL_SHARE", text)
    with pytest.raises(ThirdPartyConfigError, match=r"a number from 0.01 to 1"):
        settings.backfill_share()


def test_the_url_of_the_store_is_read_from_1password_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch, secret="sqlite:////a/b.db")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", REFERENCE)
    assert settings.database_url() == settings.database_url() == "sqlite:////a/b.db"
    assert len(op.calls) == 1
    monkeypatch.setenv("ONEPASSWORD_SOURCE_CONSOLE_PASSWORD", REFERENCE.replace("Private", "Elsewhere"))
    with pytest.raises(ConfigurationError, match="ONEPASSWORD_SOURCE_CONSOLE_PASSWORD: 1Password has no such secret"):
        settings.read_secret("CONSOLE_PASSWORD")


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.trusted_proxies() == []
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", " 10.0.0.5,, 10.1.0.0/16,2001:db8::/64,::1 ,")
    assert settings.trusted_proxies() == ["10.0.0.5", "10.1.0.0/16", "2001:db8::/64", "::1"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("proxy.example", "'proxy.example', which is no address and no network. Name your proxies: 10.0.0.5"),
        ("*", "'*', which is no address"),
        ("10.0.0.5:443", "'10.0.0.5:443', which is no address"),
        ("10.1.2.3/16", "'10.1.2.3/16', which is no address and no network. You may mean 10.1.0.0/16."),
        ("10.0.0.0/33", "'10.0.0.0/33', which is no address"),
        ("0.0.0.0/0", "'0.0.0.0/0': then every client could claim to be another"),
        ("::/0", "'::/0': then every client"),
    ],
)
def test_a_proxy_that_is_none_is_named(entry: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", f"10.0.0.5, {entry}")
    with pytest.raises(ThirdPartyConfigError) as caught:
        settings.trusted_proxies()
    assert f"ONEPASSWORD_SOURCE_TRUSTED_PROXIES has {sentence}" in str(caught.value)


def test_the_log_is_text_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEPASSWORD_SOURCE_LOG_FORMAT", raising=False)
    assert settings.log_format() == "text"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_LOG_FORMAT", "xml")
    with pytest.raises(ThirdPartyConfigError, match="Set it to text or json"):
        settings.log_format()
