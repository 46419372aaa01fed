"""The files of a service, and how one that was changed by hand is recognized."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from deployments.service.unit_files import NAME, Service, is_unchanged, signed

SYSTEM = Service("events", Path("/opt/x y/bin/onepassword-source"), root=Path("/image"))
USER = Service("events", Path("/opt/bin/onepassword-source"), is_user=True, config_home=Path("/h/.config"))


def unit(service: Service) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read_string(service.files()[-1].content)
    return read


def test_a_service_of_the_system_has_its_own_user_directory_and_settings() -> None:
    assert [str(file.path) for file in SYSTEM.files()] == [
        "/image/etc/events/environment",
        "/image/etc/sysusers.d/events.conf",
        "/image/etc/systemd/system/events.service",
    ]
    service = unit(SYSTEM)["Service"]
    assert service["ExecStart"] == '"/opt/x y/bin/onepassword-source" up'
    assert (service["User"], service["StateDirectory"]) == ("events", "events")
    assert service["Environment"] == "ONEPASSWORD_SOURCE_DATA_DIR=%S/events"
    assert service["EnvironmentFile"] == "-/etc/events/environment"
    content = SYSTEM.files()[-1].content
    assert "LoadCredential=database-url:events.database-url\n" in content
    assert "$" not in content


def test_a_service_of_a_user_has_no_user_and_no_paths_of_the_system() -> None:
    assert [str(file.path) for file in USER.files()] == [
        "/h/.config/events/environment",
        "/h/.config/systemd/user/events.service",
    ]
    service = unit(USER)["Service"]
    assert "User" not in service
    assert "Environment" not in service
    other = Service("events", USER.command, is_user=True, data_dir="/data/100 % mine")
    assert unit(other)["Service"]["Environment"] == '"ONEPASSWORD_SOURCE_DATA_DIR=/data/100 %% mine"'


@pytest.mark.parametrize("key", ["Type", "WatchdogSec", "Restart", "KillMode", "TimeoutStopSec", "LimitCORE"])
def test_both_kinds_are_watched_restarted_and_stopped_alike(key: str) -> None:
    assert unit(SYSTEM)["Service"][key] == unit(USER)["Service"][key]


def test_a_changed_file_is_recognized() -> None:
    text = signed("[Unit]\nA=b\n")
    assert is_unchanged(text)
    assert not is_unchanged(text + "C=d\n")
    assert not is_unchanged("[Unit]\nA=b\n")
    assert not is_unchanged("")


@pytest.mark.parametrize("name", ["", "1events", "a b", "../x", "x" * 32, "Ä"])
def test_a_name_is_one_of_a_user(name: str) -> None:
    assert not NAME.fullmatch(name)
