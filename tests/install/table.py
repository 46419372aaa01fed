"""The table at the end of `make test-install`: which way of installing was run where, and what was skipped and why."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parent
WHERE = "where"
"""The property by which a test says where it ran: `record_property("where", "Python 3.13.0")`."""
VERDICTS = {"passed": "works", "failed": "FAILED", "error": "FAILED", "skipped": "skipped"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("way", WHERE):
        table.add_column(heading)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("why")
    for outcome, verdict in VERDICTS.items():
        for report in terminalreporter.getreports(outcome):
            if _is_way(report):
                where = dict(report.user_properties).get(WHERE, _machine())
                cells = _way(report), str(where), f"{report.duration:.0f}", verdict, _why(report)
                table.add_row(*map(escape, cells))
    if table.row_count:
        terminalreporter.section("ways of installing")
        Console(width=110).print(table)


def _is_way(report: pytest.TestReport) -> bool:
    return Path(report.fspath).parent.name == HERE.name


def _way(report: pytest.TestReport) -> str:
    return report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test: file, line, reason
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""


def _machine() -> str:
    system = platform.freedesktop_os_release() if hasattr(platform, "freedesktop_os_release") else {}
    return system.get("PRETTY_NAME", platform.platform(terse=True))
