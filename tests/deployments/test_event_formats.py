"""The formats of `events`: every byte for a file or a pipe, and nothing that drives a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.store.source_status import SourceStatus, StoredEvent
from deployments import event_formats
from deployments.event_formats import (
    CSV_COLUMNS,
    write_csv,
    write_json,
    write_ndjson,
    write_parquet,
    write_table,
)

TIME_NS = 1_795_000_000 * 10**9 + 1  # 2026-11-18T11:06:40.000000001Z


class Source:
    """What the formats show of a source."""

    name = "1Pass"
    id = "0" * 32


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


SOURCE = cast("SourceStatus", Source())


def event(body: str, uuid: str = "U1", api: str = "audit") -> StoredEvent:
    return StoredEvent(TIME_NS, 1, api, uuid, TIME_NS + 10**9, body)


def audit(**members: Any) -> StoredEvent:
    return event(json.dumps({"action": "join", "object_type": "vault", "actor_uuid": "A1", **members}))


def test_ndjson_has_each_body_byte_for_byte_on_a_line_of_its_own() -> None:
    file = io.StringIO()
    assert write_ndjson([event('{"a":  "\u009b"}'), event('{\r\n"b": 1}')], file) == 2
    assert file.getvalue() == '{"a":  "\u009b"}\n{  "b": 1}\n'
    assert write_ndjson([], file) == 0


def test_on_a_terminal_a_body_is_the_same_json_without_control_characters() -> None:
    file = Terminal()
    write_ndjson([event('{"a": "\u009b[31m é"}')], file)
    assert file.getvalue() == '{"a": "\\u009b[31m é"}\n'
    assert json.loads(file.getvalue()) == {"a": "\u009b[31m é"}


@pytest.mark.parametrize("number", [0, 1, 3])
def test_json_is_one_array(number: int) -> None:
    file = io.StringIO()
    assert write_json(SOURCE, [audit(n=n) for n in range(number)], file) == number
    array = json.loads(file.getvalue())
    assert [one["body"]["n"] for one in array] == list(range(number))
    assert all(line.startswith("{") for line in file.getvalue().splitlines()[1:-1])


def test_json_lines_are_objects_with_all_nine_digits_of_the_times() -> None:
    file = io.StringIO()
    write_json(SOURCE, [audit(), audit()], file, lines=True)
    first, _ = map(json.loads, file.getvalue().splitlines())
    assert first["time"] == "2026-11-18T11:06:40.000000001Z"
    assert first["received"] == "2026-11-18T11:06:41.000000001Z"
    assert (first["source"], first["source_id"], first["api"], first["uuid"]) == ("1Pass", "0" * 32, "audit", "U1")
    assert (first["action"], first["type"], first["actor"]) == ("join", "vault", "A1")


def rows(file: io.StringIO) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


def test_csv_has_titles_once_and_the_whole_body() -> None:
    file = io.StringIO(newline="")
    body = '{"a": "x,\\"y\\""\n}'
    assert write_csv(SOURCE, [event(body)], file) == 1
    titles, row = rows(file)
    assert tuple(titles) == CSV_COLUMNS
    assert row[-1] == body
    assert write_csv(SOURCE, [], without := io.StringIO(), titles=False) == 0
    assert without.getvalue() == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"])
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    file = io.StringIO(newline="")
    write_csv(SOURCE, [audit(actor_uuid=text)], file)
    assert rows(file)[1][CSV_COLUMNS.index("actor")] == f"'{text}"


def test_csv_on_a_terminal_has_no_control_characters() -> None:
    file = Terminal(newline="")
    write_csv(SOURCE, [event('{"actor_uuid": "\\u001b[31m", "x": "\u009b"}')], file)
    row = rows(file)[1]
    assert (row[CSV_COLUMNS.index("actor")], row[-1]) == ("\ufffd[31m", '{"actor_uuid": "\\u001b[31m", "x": "\\u009b"}')


def test_parquet_has_the_columns_of_the_csv_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    core = pytest.importorskip("arro3.core")
    reader = pytest.importorskip("arro3.io")
    monkeypatch.setattr(event_formats, "PARQUET_GROUP_ROWS", 2)
    file = io.BytesIO()
    assert write_parquet(SOURCE, [audit(n=n) for n in range(5)], file) == 5
    table = core.Table.from_arrow(reader.read_parquet(io.BytesIO(file.getvalue())))
    assert (tuple(table.column_names), table.num_rows) == (CSV_COLUMNS, 5)
    assert [json.loads(body)["n"] for body in table["body"].to_pylist()] == list(range(5))


def test_without_the_parquet_writer_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(event_formats, "import_module", missing)
    with pytest.raises(ThirdPartyConfigError, match=r"onepassword-source\[parquet\]"):
        write_parquet(SOURCE, [], io.BytesIO())


def table(width: int | None, *events: StoredEvent, titles: bool = True) -> list[str]:
    file = io.StringIO()
    assert write_table(events, file, width, titles=titles) == len(events)
    return file.getvalue().splitlines()


def test_a_table_of_a_pipe_is_cut_nowhere() -> None:
    (line,) = table(None, audit(action="a" * 99, actor_uuid="b" * 99), titles=False)
    assert line.split() == ["2026-11-18", "11:06:40", "audit", "a" * 99, "b" * 99]


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_a_table_of_a_terminal_keeps_to_its_width(width: int) -> None:
    lines = table(width, audit(action="a" * 99, actor_uuid="b" * 99), audit(actor_uuid="日本" * 99))
    assert all(len(line) <= width for line in lines)
    assert ("…" in lines[1], "2026-" in lines[1]) == (True, width >= 76)


def test_a_table_shows_no_control_character() -> None:
    assert "\ufffd[31m" in table(None, audit(actor_uuid="\x1b[31m"))[1]
