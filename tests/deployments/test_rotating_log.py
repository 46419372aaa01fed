"""A log that is written for months."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING

from deployments.rotating_log import RotatingLog

if TYPE_CHECKING:
    from pathlib import Path


def test_it_never_takes_more_than_two_files_of_its_limit_and_keeps_the_newest_lines(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "up.log", limit=1000)
    for number in range(1000):
        log.write(f"line {number}")
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["up.log", "up.log.1"]
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = (tmp_path / "up.log.1").read_text().splitlines() + (tmp_path / "up.log").read_text().splitlines()
    assert kept == [f"line {number}" for number in range(1000 - len(kept), 1000)]
    assert log.last_line() == "line 999"


def test_it_goes_on_where_it_was_and_no_other_user_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "up.log").write_text("before\n")
    log = RotatingLog(tmp_path / "up.log")
    log.write("after")
    log.close()
    assert (tmp_path / "up.log").read_text() == "before\nafter\n"
    assert stat.S_IMODE((tmp_path / "up.log").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_costs_lines_and_no_more(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "gone" / "up.log")
    log.write("lost")
    assert log.last_line() == ""
    (tmp_path / "gone").mkdir()
    log.write("kept")
    log.close()
    assert log.last_line() == "kept"


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "up.log")
    writers = [threading.Thread(target=lambda: [log.write("x" * 200) for _ in range(200)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log.close()
    assert (tmp_path / "up.log").read_text() == ("x" * 200 + "\n") * 800
