"""The output of commands: tables, JSON, times, notes on standard error, and text that cannot drive a terminal."""

from __future__ import annotations

import json
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text
from whenever import Instant

from blocks import clock
from blocks.errors import ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from rich.table import Table

T = TypeVar("T")
UNLIMITED_CELLS = 1000
POLL_SECONDS = 1
SILENT_SECONDS = 10
"""After how many seconds of work a command that has no terminal says what it does."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # `entry_point` handles it; rich would end the process with exit code 1


# No markup and no emoji codes, because names and messages come from outside.
ERROR = _Console(stderr=True, highlight=False, markup=False, emoji=False)
OUT = _Console(highlight=False, markup=False, emoji=False)


def print_line(text: RenderableType, style: str | None = None) -> None:
    """A line on standard output: wrapped between words on a terminal, never elsewhere."""
    OUT.print(text, style=style, soft_wrap=not OUT.is_terminal)


def print_table(table: Table) -> None:
    """A table in the width of the terminal; elsewhere as wide as it needs."""
    if OUT.is_terminal:
        OUT.print(table)
        return
    _Console(file=OUT.file, highlight=False, markup=False, emoji=False, width=UNLIMITED_CELLS).print(table)


def print_fitting(table: Table) -> None:
    """As `print_table`; on a terminal that is too narrow, a block of lines for each row, so that no number is cut."""
    natural = Measurement.get(OUT, OUT.options.update(max_width=UNLIMITED_CELLS), table).maximum
    if not OUT.is_terminal or natural <= OUT.width:
        print_table(table)
        return
    columns = [(str(column.header), list(column.cells)) for column in table.columns]
    width = max(cell_len(title) for title, _ in columns[1:])
    for row in range(table.row_count):
        lead = columns[0][1][row]
        print_line(lead if isinstance(lead, Text) else Text(str(lead), "bold"))
        for title, cells in columns[1:]:
            cell = cells[row]
            if shown := cell if isinstance(cell, Text) else Text(str(cell)):
                print_indented(shown, 2, lead=f"{title:{width}}  ")


def print_cropped(text: Text) -> None:
    """A line that is cut on a terminal if it is too long, never wrapped."""
    OUT.print(text, no_wrap=True, overflow="ellipsis" if OUT.is_terminal else "ignore", crop=OUT.is_terminal)


def print_indented(text: Text | str, cells: int, *, lead: Text | str = "", style: str = "") -> None:
    """An indented line. On a terminal, wrapped lines begin below the text, not below its lead."""
    line = Text.assemble(" " * cells, lead, (text, style) if isinstance(text, str) else text)
    if not OUT.is_terminal:
        OUT.print(line, soft_wrap=True)
        return
    width = cells + len(lead)
    broken = line[width:].wrap(OUT, OUT.width - width)
    for number, part in enumerate(broken):
        part.rstrip()
        OUT.print(line[:width] if number == 0 else " " * width, part, sep="", no_wrap=True, overflow="fold")


def print_json(value: Any) -> None:
    """JSON for scripts, in ASCII, so that it cannot drive a terminal."""
    typer.echo(json.dumps(value, indent=2))


def print_note(text: str) -> None:
    """A line for people, on standard error."""
    ERROR.print(printable(text), soft_wrap=not ERROR.is_terminal)


def print_warning(text: str) -> None:
    ERROR.print(f"Warning: {printable(text)}", style="yellow", soft_wrap=not ERROR.is_terminal)


def join_styled(*parts: tuple[str, str]) -> Text:
    """Styled texts, two spaces between them. Empty texts are left out."""
    return Text("  ").join(Text(printable(text), style) for text, style in parts if text)


def severity_style(severity: str) -> str:
    return "bold red" if severity == "Error" else "bold yellow"


def format_time(ns: int | None) -> str:
    """`2026-11-22 20:15:00Z`; empty for None."""
    return (
        Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="second").replace("T", " ")
        if ns is not None
        else ""
    )


@overload
def format_rfc3339(ns: int) -> str: ...
@overload
def format_rfc3339(ns: None) -> None: ...
@overload
def format_rfc3339(ns: int | None) -> str | None: ...
def format_rfc3339(ns: int | None) -> str | None:
    """RFC 3339 in UTC with all digits."""
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso() if ns is not None else None


def format_minute(ns: int) -> str:
    """`2026-11-22 20:15Z`."""
    return format_time(ns)[:16] + "Z"


def format_age(ns: int | None) -> str:
    """Time since then: `3 min`; empty for None."""
    return "" if ns is None else clock.format_age(ns)


def confirm(question: str, refusal: str) -> None:
    """Continue after a confirmation. Raises ThirdPartyConfigError without a terminal: a script uses --yes."""
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(refusal, hint="In a script, use --yes.", code="usage")
    typer.confirm(question, abort=True, err=True)


def with_spinner(text: str, work: Callable[[], T]) -> T:
    """Do the work with a spinner on a terminal. Elsewhere one line announces work that takes long."""
    if sys.stderr.isatty():
        with ERROR.status(text):
            return work()
    note = threading.Timer(SILENT_SECONDS, print_note, [text])
    note.daemon = True
    note.start()
    try:
        return work()
    finally:
        note.cancel()


def printable(value: Any) -> str:
    """Text from outside, with control characters replaced so that they cannot drive a terminal."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def wait_for_more() -> None:
    """Wait a second. Raises BrokenPipeError as soon as the reader of standard output has ended."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # 0: only errors and hang-ups, which poll always reports
    except (AttributeError, OSError):  # no poll on this system, or no real file
        time.sleep(POLL_SECONDS)
        return
    if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(POLL_SECONDS * 1000)):
        raise BrokenPipeError
