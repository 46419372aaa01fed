"""The table at the end of `make torture`, printed by the controller of pytest-xdist."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from torture.outcome import Row

if TYPE_CHECKING:
    import pytest

PROPERTY = "torture"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: the measured cost of each fault."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("fault", max_width=44)
    for heading in ("times", "events", "lost", "twice", "requests (allowed)", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    notes: list[str] = []
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, value in report.user_properties:
            if name == PROPERTY:
                row = Row(**json.loads(value))
                table.add_row(*row.cells(), "survived" if report.passed else "FAILED")
                notes += [f"{row.fault}: {note}" for note in row.notes]
    if table.row_count:
        terminalreporter.section("faults survived")
        Console(width=110).print(table, *notes, sep="\n")
