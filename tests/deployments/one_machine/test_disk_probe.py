"""The warning of a disk that has no room for another day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.disk_space import free_space
from deployments.one_machine.disk_probe import DAY_SECONDS, SAMPLE_SECONDS, DiskProbe, disk_probe

if TYPE_CHECKING:
    from pathlib import Path

TERABYTES = 10**18


class Growing:
    def __init__(self) -> None:
        self.size = 0
        self.now = 0.0

    def probe(self, place: Path) -> DiskProbe:
        return DiskProbe([place], lambda: self.size, least=0, steady=lambda: self.now)


def test_a_disk_with_room_is_no_news(tmp_path: Path) -> None:
    assert DiskProbe([tmp_path], lambda: 0, least=1)() is None


def test_less_than_a_day_needs_in_any_case_is_a_warning(tmp_path: Path) -> None:
    text = DiskProbe([tmp_path], lambda: 0, least=TERABYTES)()
    assert text is not None
    assert f"are free for {tmp_path}, and a day needs 1,000,000 TB" in text
    assert "onepassword-source prune" in text


def test_less_than_the_last_day_took_is_a_warning_until_that_day_is_over(tmp_path: Path) -> None:
    ((_, free),) = free_space([tmp_path])
    grows = Growing()
    probe = grows.probe(tmp_path)
    assert probe() is None
    grows.now, grows.size = SAMPLE_SECONDS, 2 * free
    assert probe() is not None
    grows.now += SAMPLE_SECONDS / 2
    assert probe() is not None
    grows.now += DAY_SECONDS + SAMPLE_SECONDS
    assert probe() is None


def test_a_store_that_was_pruned_needs_nothing(tmp_path: Path) -> None:
    grows = Growing()
    probe = grows.probe(tmp_path)
    grows.size = TERABYTES
    probe()
    grows.now, grows.size = SAMPLE_SECONDS, 0
    assert probe() is None


@pytest.mark.parametrize("url", ["", "sqlite:///{}/other.db?timeout=5", "postgresql://u:p@host/d"])
def test_the_probe_of_this_machine_reads_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url.format(tmp_path))
    probe = disk_probe()
    (tmp_path / "other.db").write_bytes(b"x")
    assert probe._used() == (1 if url.startswith("sqlite") else 0)
    probe._least = TERABYTES
    assert probe() is not None
