"""What `up` writes: text for people, JSON for a collector, levels for the journal, and secrets on a terminal only."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from deployments.service_log import JsonLines, ServiceLog, as_json, leads_to_journal, open_log, parsed


def written(*, is_json: bool = False, has_levels: bool = False) -> tuple[ServiceLog, list[str]]:
    lines: list[str] = []
    return ServiceLog(lines.append, is_json=is_json, has_levels=has_levels), lines


def test_text_is_written_as_it_is() -> None:
    log, lines = written()
    log("Warning: a disk is full.", event="disk", what="store")
    log("Starting …")
    assert lines == ["Warning: a disk is full.", "Starting …"]
    assert log.may_show_secrets


def test_the_journal_gets_the_level_of_each_line_and_no_secret() -> None:
    log, lines = written(has_levels=True)
    log("Starting …")
    log("Warning: one\ntwo")
    log("broken", level="error")
    assert lines == ["<6>Starting …", "<4>Warning: one", "<4>two", "<3>broken"]
    assert not log.may_show_secrets


@pytest.mark.parametrize("has_levels", [True, False])
def test_json_is_one_object_a_line(has_levels: bool) -> None:
    log, lines = written(is_json=True, has_levels=has_levels)
    log("2026-11-29 Trouble: the store\n is gone", event="problem", level="warning", what="store", process=None)
    (line,) = lines
    assert line.startswith("<4>{" if has_levels else "{")
    members = json.loads(line.removeprefix("<4>"))
    assert (members["part"], members["level"], members["event"]) == ("up", "warning", "problem")
    assert members["what"] == "store"
    assert "process" not in members
    assert not log.may_show_secrets


def test_a_line_of_a_child_is_passed_on_with_its_own_level() -> None:
    log, lines = written(is_json=True, has_levels=True)
    log.relay('{"a": 1}', {"level": "error"})
    log.relay('{"a": 2}', {})
    assert lines == ['<3>{"a": 1}', '<6>{"a": 2}']


def test_a_stream_leads_to_the_journal_if_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert leads_to_journal(stream, named)
        assert not leads_to_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not leads_to_journal(stream, {})


def test_json_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("json", lambda line: sys.stderr.write(f"text {line}"))("hello")
    open_log("text", lambda line: print(f"text {line}", file=sys.stderr))("hello")  # noqa: T201
    out, err = capsys.readouterr()
    assert json.loads(out)["message"] == "hello"
    assert err == "text hello\n"


@pytest.mark.parametrize(("line", "found"), [('{"a": 1}', {"a": 1}), ("[1]", None), ("INFO: x", None), ("", None)])
def test_only_an_object_is_a_line_of_json(line: str, found: object) -> None:
    assert parsed(line) == found


def test_a_line_of_another_library_is_put_into_an_object() -> None:
    assert as_json('{"a": 1}', "server") == '{"a": 1}'
    members = json.loads(as_json("Traceback (most recent call last):", "server"))
    assert (members["part"], members["message"]) == ("server", "Traceback (most recent call last):")


def test_a_stream_of_json_puts_each_line_into_an_object() -> None:
    written = io.StringIO()
    stream = JsonLines(written, "worker")
    for text in ("Worker 'one' ", "started!\n\n", '{"level": "info"}\nTraceback\n  File', " …"):
        stream.write(text)
    first, second, third = map(json.loads, written.getvalue().splitlines())
    assert (first["part"], first["event"], first["message"]) == ("worker", "log", "Worker 'one' started!")
    assert second == {"level": "info"}
    assert third["message"] == "Traceback", "the line after it has not ended"
