"""What commands print: wrapped for people, whole for programs, and nothing that drives a terminal."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from rich.table import Table
from rich.text import Text

from blocks.errors import ThirdPartyConfigError
from deployments import terminal_output
from deployments.terminal_output import (
    confirm,
    format_age,
    format_minute,
    format_rfc3339,
    format_time,
    join_styled,
    print_cropped,
    print_fitting,
    print_indented,
    print_json,
    print_line,
    print_note,
    print_table,
    print_warning,
    printable,
    severity_style,
    wait_for_more,
    with_spinner,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NS = 1_795_000_000 * 10**9 + 5  # 2026-11-18T11:06:40.000000005Z
LONG = "many words " * 20


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as a terminal of 40 columns without colours."""
    file = io.StringIO()
    console = terminal_output._Console(
        file=file, force_terminal=True, width=40, color_system=None, highlight=False, markup=False, emoji=False
    )
    monkeypatch.setattr(terminal_output, "OUT", console)
    return file


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as a pipe."""
    file = io.StringIO()
    console = terminal_output._Console(file=file, width=40, highlight=False, markup=False, emoji=False)
    monkeypatch.setattr(terminal_output, "OUT", console)
    return file


def table(*cells: str) -> Table:
    made = Table("first", "second", box=None)
    made.add_row(*cells)
    return made


def test_times_in_their_forms() -> None:
    assert format_time(NS) == "2026-11-18 11:06:40Z"
    assert format_minute(NS) == "2026-11-18 11:06Z"
    assert format_rfc3339(NS) == "2026-11-18T11:06:40.000000005Z"
    assert (format_time(None), format_rfc3339(None), format_age(None)) == ("", None, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Zürich 日本", "Zürich 日本"), ("a\x1b[31mb", "a\ufffd[31mb"), ("a\nb\u202e", "a\ufffdb\ufffd"), (5, "5")],
)
def test_text_from_outside_cannot_drive_a_terminal(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_styled_texts_are_joined_without_the_empty_ones() -> None:
    joined = join_styled(("soc\x1b", "bold"), ("", "red"), ("ok", ""))
    assert joined.plain == "soc\ufffd  ok"
    assert (severity_style("Error"), severity_style("Warning")) == ("bold red", "bold yellow")


def test_a_line_is_wrapped_on_a_terminal_between_words(terminal: io.StringIO) -> None:
    print_line(LONG)
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 5
    assert all(len(line) <= 40 for line in lines)


def test_a_line_is_whole_in_a_pipe_and_markup_is_text(pipe: io.StringIO) -> None:
    print_line(LONG.strip())
    print_line("[red]x[/red] :smile:")
    assert pipe.getvalue().splitlines() == [LONG.strip(), "[red]x[/red] :smile:"]


@pytest.mark.parametrize("write", [print_table, print_fitting])
def test_a_table_is_whole_in_a_pipe(pipe: io.StringIO, write: Callable[[Table], None]) -> None:
    write(table("a" * 60, "b" * 60))
    assert pipe.getvalue().split() == ["first", "second", "a" * 60, "b" * 60]


def test_a_table_that_fits_is_a_table_and_a_wider_one_is_a_block_for_each_row(terminal: io.StringIO) -> None:
    print_fitting(table("a", "1,000,000"))
    assert terminal.getvalue().split() == ["first", "second", "a", "1,000,000"]
    terminal.truncate(0)
    print_fitting(table("a" * 30, "1,000,000 events"))
    assert terminal.getvalue().lstrip("\0").splitlines() == ["a" * 30, "  second  1,000,000 events"]


def test_a_cropped_line_is_one_line(terminal: io.StringIO) -> None:
    print_cropped(Text("x" * 99))
    assert terminal.getvalue() == "x" * 39 + "…\n"


def test_a_cropped_line_is_whole_in_a_pipe(pipe: io.StringIO) -> None:
    print_cropped(Text("x" * 99))
    assert pipe.getvalue() == "x" * 99 + "\n"


def test_wrapped_lines_begin_below_the_text(terminal: io.StringIO) -> None:
    print_indented(LONG, 2, lead="hint → ")
    first, *others = terminal.getvalue().splitlines()
    assert first.startswith("  hint → many")
    assert others
    assert all(line.startswith((" " * 9 + "many", " " * 9 + "words")) for line in others)
    assert all(len(line) <= 40 for line in [first, *others])


def test_an_indented_line_is_one_in_a_pipe(pipe: io.StringIO) -> None:
    print_indented("a" * 99, 2, lead="> ")
    assert pipe.getvalue() == f"  > {'a' * 99}\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": "\u009b é"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"a": "\u009b é"}


def test_notes_and_warnings_go_to_standard_error_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_note("a\x1b[31m [b]" + "x" * 200)
    print_warning("b\x07")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a\ufffd[31m [b]" + "x" * 200 + "\nWarning: b\ufffd\n")


def test_without_a_terminal_nothing_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ThirdPartyConfigError, match=r"Nothing was done.*--yes") as raised:
        confirm("Continue?", "Nothing was done.")
    assert raised.value.code == "usage"


def test_work_is_done_without_a_spinner_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_spinner("Working…", lambda: 5) == 5
    assert capsys.readouterr() == ("", "")


def test_work_that_takes_long_is_announced_once_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announced = threading.Event()

    def note(text: str) -> None:
        print_note(text)
        announced.set()

    monkeypatch.setattr(terminal_output, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(terminal_output, "print_note", note)
    assert with_spinner("Working…", lambda: announced.wait(60))
    assert capsys.readouterr() == ("", "Working…\n")


def test_a_reader_that_is_gone_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(terminal_output, "POLL_SECONDS", 0)
        wait_for_more()
        os.close(reader)
        monkeypatch.setattr(terminal_output, "POLL_SECONDS", 60)
        with pytest.raises(BrokenPipeError):
            wait_for_more()
