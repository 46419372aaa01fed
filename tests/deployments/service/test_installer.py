"""Writing and removing the files of a service: again and again, and never over what a person changed."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from blocks.errors import ThirdPartyConfigError
from deployments.service import installer
from deployments.service.unit_files import Service


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service("events", Path("/opt/bin/onepassword-source"), root=tmp_path)


def changes(found: list[installer.FileChange]) -> list[str]:
    return [one.change for one in found]


def test_what_is_written_twice_is_unchanged_and_your_settings_are_kept(service: Service) -> None:
    assert changes(installer.write(service)) == ["written", "written", "written"]
    service.environment_file.write_text("ONEPASSWORD_SOURCE_PORT=4300\n")
    assert changes(installer.write(service)) == ["kept", "unchanged", "unchanged"]
    assert service.environment_file.read_text() == "ONEPASSWORD_SOURCE_PORT=4300\n"


def test_only_root_reads_the_settings_and_everyone_the_unit(service: Service) -> None:
    installer.write(service)
    assert stat.S_IMODE(service.environment_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(service.unit.stat().st_mode) == 0o644
    assert stat.S_IMODE(service.unit.parent.stat().st_mode) == 0o755


def test_the_unit_of_another_version_is_updated(service: Service, tmp_path: Path) -> None:
    installer.write(Service("events", Path("/opt/old/onepassword-source"), root=tmp_path))
    assert changes(installer.write(service)) == ["kept", "unchanged", "updated"]
    assert "/opt/bin/onepassword-source up" in service.unit.read_text()


def test_a_unit_that_was_changed_by_hand_is_replaced_and_removed_only_by_force(service: Service) -> None:
    installer.write(service)
    mine = service.unit.read_text() + "# mine\n"
    service.unit.write_text(mine)
    for verb in (installer.write, installer.remove):
        with pytest.raises(ThirdPartyConfigError, match=r"was changed by hand.*systemctl edit events.*--force"):
            verb(service)
        assert service.unit.read_text() == mine
    assert changes(installer.write(service, force=True)) == ["kept", "unchanged", "updated"]
    service.unit.write_text(mine)
    assert changes(installer.remove(service, force=True)) == ["kept", "removed", "removed"]


def test_removing_keeps_your_settings(service: Service) -> None:
    installer.write(service)
    assert changes(installer.remove(service)) == ["kept", "removed", "removed"]
    assert service.environment_file.exists()
    assert not service.unit.exists()
    assert changes(installer.remove(service)) == ["kept"]


def test_an_installation_that_the_service_cannot_reach_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name, pytest.raises(ThirdPartyConfigError, match=r"--user") as raised:
        installer.require_reachable(Path(name) / "bin" / "onepassword-source", "events")
    assert "does not see" in str(raised.value)
    assert "/opt/onepassword-source" in str(raised.value)
