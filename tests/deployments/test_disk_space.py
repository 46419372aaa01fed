"""Numbers of bytes for people, and the free space of each disk once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.disk_space import format_bytes, free_space

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 kB"),
        (16_400, "16 kB"),
        (3_330_000, "3.33 MB"),
        (55_900_000_000, "55.9 GB"),
        (1_500_000 * 10**9, "1,500 TB"),
    ],
)
def test_bytes_have_three_digits(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_a_disk_counts_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    ((place, free),) = free_space([tmp_path, tmp_path / "inner", tmp_path / "missing"])
    assert place == tmp_path
    assert free > 0
