"""`events`, against what the server that made them holds."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from support.terminal import shown_on_terminal
from support.values import SOURCE

from blocks.config.name_file import NamedObject
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from blocks.store import names, schema, source_status, sources, streams
from blocks.store.engine import open_engine
from deployments import cli
from deployments.sandbox.process import running_sandbox
from tasks.support.drain import StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deployments.sandbox.process import SandboxProcess

NAME = "[red]1Pass[/red] /%&<> 日本"
FORMULA = (
    '{"uuid":"=1+1","timestamp":"2026-11-22T10:00:00Z","action":"=cmd|calc",'
    '"actor_details":{"name":"\\u001b[31m日本日本日本日本日本日本日本日本"}}'
)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3300, days=3, until="2026-11-22T12:00:00Z") as running:
        running.append("auditevents", FORMULA.encode())
        yield running


@pytest.fixture(scope="module")
def filled(server: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store that holds all that the server has."""
    url = f"sqlite:///{tmp_path_factory.mktemp('filled') / 'events.db'}"
    engine = open_engine(url)
    schema.upgrade(engine)
    record = replace(SOURCE, name=NAME, base_url=server.base_url, collect_from="2026-11-01")
    sources.save(engine, record)
    for view in streams.of_source(engine, record.id, record.apis):
        claim = streams.acquire(engine, view, "run-1")
        assert claim
        with EventsClient(server.base_url, server.token) as client:
            StreamReader(engine, client, record, claim, logging.getLogger("test")).drain()
    engine.dispose()
    return url


@pytest.fixture
def events(filled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)

    def run(*flags: str) -> str:
        assert cli.main(["events", NAME, *flags]) == cli.DONE
        return capsys.readouterr().out

    return run


def when(body: str) -> str:
    return str(json.loads(body)["timestamp"])


def test_ndjson_is_what_the_server_sent_by_time(events: Any, server: SandboxProcess) -> None:
    truth = [body.decode() for api in Api for body in server.events(api.path)]
    lines = events("--format", "ndjson").splitlines()
    assert sorted(lines) == sorted(truth)
    assert [when(line)[:19] for line in lines] == sorted(when(line)[:19] for line in lines)


def test_the_output_file_holds_the_same_bytes(events: Any, server: SandboxProcess, tmp_path: Path) -> None:
    path = tmp_path / "audit.ndjson"
    events("--format", "ndjson", "--api", "audit", "--output", str(path))
    assert sorted(path.read_bytes().splitlines()) == sorted(server.events("auditevents"))


def test_since_until_and_api_choose(events: Any, server: SandboxProcess) -> None:
    since, until = "2026-11-20T00:00:00Z", "2026-11-21T06:30:00.5Z"
    flags = ("--since", since, "--until", until, "--api", "audit", "--api", "sign-in", "--format", "ndjson")
    truth = [
        body
        for path in ("auditevents", "signinattempts")
        for body in server.events(path, start_time=since, end_time=until)
    ]
    assert 0 < len(truth) < 2200
    assert sorted(line.encode() for line in events(*flags).splitlines()) == sorted(truth)


def test_a_date_is_midnight_in_utc(events: Any) -> None:
    assert events("--since", "2026-11-21", "--format", "ndjson") == events(
        "--since", "2026-11-21T01:00:00+01:00", "--format", "ndjson"
    )


def test_no_match_is_a_note_on_standard_error(
    filled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    assert cli.main(["events", NAME, "--until", "2026-01-01"]) == cli.DONE
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "TIME (UTC)           API        ACTION              WHO                           IP ADDRESS                CC"
    ]
    assert err == "No events match.\n"


def test_csv_comes_back_through_the_csv_module(events: Any, server: SandboxProcess, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    events("--format", "csv", "-o", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth = {json.loads(body)["uuid"]: body.decode() for api in Api for body in server.events(api.path)}
    assert {row["uuid"].removeprefix("'"): row["body"] for row in rows} == truth
    first = next(row for row in rows if row["api"] == "itemUsage")
    body = json.loads(first["body"])
    assert (first["source"], first["action"], first["actor"]) == (NAME, body["action"], body["user"]["email"])
    assert first["country"] == body["location"]["country"]
    assert first["time"].rstrip("Z")[:19] == body["timestamp"][:19]


def test_csv_disarms_what_a_spreadsheet_would_run(events: Any) -> None:
    rows = csv.DictReader(events("--format", "csv", "--api", "audit").splitlines())
    armed = next(row for row in rows if row["body"] == FORMULA)
    assert (armed["uuid"], armed["action"]) == ("'=1+1", "'=cmd|calc")


def lines_in_terminal(form: str, columns: int) -> list[str]:
    code, shown = shown_on_terminal(["events", NAME, "--api", "audit", "--format", form], columns)
    assert code == 0
    return [line.rstrip("\r") for line in shown.split("\n")]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_table_fits_a_terminal_and_drives_it_not(filled: str, columns: int, monkeypatch: Any) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    lines = lines_in_terminal("table", columns)
    assert all(line.isprintable() for line in lines)
    assert len(lines) >= 1102
    assert max(cell_len(line) for line in lines) <= columns
    assert lines[0].split() == ["TIME", "(UTC)", "API", "ACTION", "WHO", "IP", "ADDRESS", "CC"]


@pytest.mark.parametrize("form", ["ndjson", "csv", "json"])
def test_no_other_form_drives_a_terminal(filled: str, form: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    assert all(line.isprintable() for line in lines_in_terminal(form, 80))


def test_a_pipe_gets_the_table_uncut(events: Any) -> None:
    line = next(line for line in events().splitlines() if "=cmd" in line)
    assert line.endswith("\ufffd[31m日本日本日本日本日本日本日本日本")


def test_the_file_is_for_its_owner_and_replaces_the_old_one_whole(events: Any, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(0o644)
    events("--output", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().splitlines()) == 3302
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_a_link_is_followed(events: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    events("--output", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_size > 0


def test_what_breaks_off_leaves_the_old_file(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.db"
    with sqlite3.connect(filled.removeprefix("sqlite:///")) as database:
        database.execute("VACUUM INTO ?", (str(broken),))
    database.close()
    with broken.open("r+b") as file:
        size = broken.stat().st_size
        file.seek(size // 4)
        file.write(os.urandom(size // 2))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{broken}")
    path = tmp_path / "out" / "events.ndjson"
    path.parent.mkdir()
    path.write_text("old")
    assert cli.main(["events", NAME, "--format", "ndjson", "-o", str(path)]) == cli.IN_ERROR
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["events.ndjson"]  # noqa: PTH208


def test_a_pipe_is_written_into_and_not_replaced(events: Any, tmp_path: Path) -> None:
    path, got = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.extend(path.read_text().splitlines()), daemon=True)
    reader.start()
    events("--output", str(path))
    reader.join(10)
    assert len(got) == 3302
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", ". cannot be written: it is a directory. Choose another file with --output."),
        ("gone/x", "gone/x cannot be written: No such file or directory. Choose another file with --output."),
        ("/dev/full", "/dev/full cannot be written: No space left on device. Choose another file with --output."),
    ],
)
def test_an_output_that_cannot_be_is_one_line(
    output: str, message: str, filled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    assert cli.main(["events", NAME, "--output", output]) == cli.IN_ERROR
    assert capsys.readouterr().err == f"onepassword-source: {message}\n"


@pytest.mark.parametrize("window", [(), ("--until", "2026-11-19T12:05:00Z")], ids=["many", "few"])
def test_a_full_disk_is_one_line(window: tuple[str, ...], filled: str) -> None:
    call = [sys.executable, "-m", "deployments.cli", "events", NAME, "--format", "ndjson", *window]
    env = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": filled}
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(call, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (cli.IN_ERROR, "onepassword-source: No space left on device.\n")


def test_an_unknown_source_is_an_error_with_the_existing_ones(
    filled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    assert cli.main(["events", "2Pass"]) == cli.WRONG_USE
    assert f"There is no source named '2Pass' in the store; there are: {NAME}." in capsys.readouterr().err


MEGABYTE = 1024
MANY = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO events (stream_id, uuid, time_ns, received_ns, body)
SELECT (SELECT min(id) FROM streams), 'U' || i, i, i, '{"uuid":"U' || i || '","x":"' || :filling || '"}' FROM n
"""
PEAK = (
    "import resource, sys; from deployments.cli import main\n"
    "code = main(['events', '1Pass', '--format', 'ndjson', '--output', '/dev/null'])\n"
    "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
)


def peak(migrated: Path, path: Path, rows: int) -> int:
    """KiB of memory at the highest, of a process that exports so many events."""
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    engine.dispose()
    with sqlite3.connect(path) as database:
        database.execute(MANY, {"rows": rows, "filling": "x" * 200})
    database.close()
    env = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{path}"}
    done = subprocess.run([sys.executable, "-c", PEAK], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == f"{rows:,} events written to /dev/null.\n"
    code, kibibytes = done.stdout.split()
    assert code == "0"
    return int(kibibytes)


@pytest.mark.processes
def test_ten_times_the_events_need_no_more_memory(migrated_sqlite: Path, tmp_path: Path) -> None:
    small = peak(migrated_sqlite, tmp_path / "small.db", 30_000)
    large = peak(migrated_sqlite, tmp_path / "large.db", 300_000)
    # SQLite's own page cache grows to its 64 MiB and no further; the events held at once would be more than 150.
    assert large - small < 80 * MEGABYTE


def bodies(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines()]


@pytest.fixture
def truth(server: SandboxProcess) -> list[tuple[str, dict[str, Any]]]:
    return [(api.value, json.loads(body)) for api in Api for body in server.events(api.path)]


def person(api: str, body: dict[str, Any]) -> dict[str, Any]:
    return body.get({"sign-in": "target_user", "itemUsage": "user"}.get(api, "actor_details")) or {}


def place(api: str, body: dict[str, Any]) -> str | None:
    found: str | None = body["session"]["ip"] if "session" in body else body.get("client", {}).get("ip_address")
    return found


@pytest.mark.parametrize(
    ("flag", "of"),
    [
        ("--user", lambda api, body: person(api, body).get("email")),
        ("--user", lambda api, body: person(api, body).get("uuid")),
        ("--ip", place),
        ("--action", lambda _, body: body.get("action") or body.get("category")),
        ("--country", lambda _, body: body.get("country") or body.get("location", {}).get("country")),
        ("--item", lambda _, body: body.get("item_uuid")),
        ("--vault", lambda _, body: body.get("vault_uuid")),
    ],
)
def test_each_filter_chooses_what_has_it(flag: str, of: Any, truth: Any, events: Any) -> None:
    value_wanted = next(value for api, body in truth if (value := of(api, body)))
    shown = bodies(events(flag, value_wanted.upper(), "--format", "ndjson"))
    expected = [body["uuid"] for api, body in truth if of(api, body) == value_wanted]
    assert 0 < len(expected) < len(truth)
    assert set(expected) <= {body["uuid"] for body in shown}
    assert all(value_wanted in json.dumps(body) for body in shown)


def test_a_vault_is_found_by_its_imported_name(truth: Any, events: Any) -> None:
    vault = next(body["vault_uuid"] for _, body in truth if body.get("vault_uuid"))
    engine = source_status.open_store()
    names.save(engine, [NamedObject(vault, "vault", "Payroll of the north")])
    engine.dispose()
    assert (
        events("--vault", "payroll of*", "--format", "ndjson") == events("--vault", vault, "--format", "ndjson") != ""
    )


def test_a_star_stands_for_anything_and_a_bracket_for_itself(truth: Any, events: Any) -> None:
    everybody = bodies(events("--user", "*@example.org", "--format", "ndjson"))
    assert len(everybody) == sum((person(*one).get("email") or "").endswith("@example.org") for one in truth)
    assert events("--user", "[a-z]*@example.org", "--format", "ndjson") == ""


def test_a_network_holds_its_addresses(truth: Any, events: Any) -> None:
    address = next(found for one in truth if (found := place(*one)) and "." in found)
    network = address.rsplit(".", 2)[0] + ".0.0/16"
    shown = bodies(events("--ip", network, "--format", "ndjson"))
    expected = [1 for one in truth if (place(*one) or "").startswith(address.rsplit(".", 2)[0] + ".")]
    assert len(shown) == len(expected)


def test_match_finds_text_however_it_is_written(events: Any) -> None:
    assert len(events("--match", "日本日本", "--format", "ndjson").splitlines()) == 1
    assert len(events("--match", "CMD|calc", "--format", "ndjson").splitlines()) == 1
    assert events("--match", "not there at all", "--format", "ndjson") == ""


def test_filters_hold_together(truth: Any, events: Any) -> None:
    email = next(found for one in truth if (found := person(*one).get("email")))
    shown = bodies(events("--user", email, "--action", "reveal", "--format", "ndjson"))
    expected = [1 for one in truth if person(*one).get("email") == email and one[1].get("action") == "reveal"]
    assert len(shown) == len(expected)


@pytest.mark.parametrize("number", [1, 7, 2500, 100_000])
def test_last_is_the_end_of_all(number: int, events: Any) -> None:
    whole = events("--format", "ndjson").splitlines()
    lines = events("--last", str(number), "--format", "ndjson").splitlines()
    assert [when(line) for line in lines] == [when(line) for line in whole[-number:]]
    assert set(lines) <= set(whole)
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("end", ["csv", "CSV", "ndjson", "jsonl", "json"])
def test_the_name_of_the_file_decides_the_format(end: str, events: Any, tmp_path: Path) -> None:
    path = tmp_path / f"x.{end}"
    events("--output", str(path), "--api", "audit")
    form = {"jsonl": "ndjson"}.get(end.lower(), end.lower())
    assert path.read_bytes().decode() == events("--format", form, "--api", "audit")


def test_parquet_holds_what_csv_holds(events: Any, tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "x.parquet"
    events("--output", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = duckdb.sql(f"SELECT uuid, epoch_ns(time) AS ns, body FROM '{path}'").fetchall()
    table = {
        row["uuid"].removeprefix("'"): row["body"] for row in csv.DictReader(events("--format", "csv").splitlines())
    }
    assert {uuid: body for uuid, _, body in rows} == table
    assert [ns for _, ns, _ in rows] == sorted(ns for _, ns, _ in rows)


def test_parquet_needs_its_extra(events: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "arro3.core", None)
    assert cli.main(["events", NAME, "-o", str(tmp_path / "x.parquet")]) == cli.WRONG_USE
    assert "pip install 'onepassword-source[parquet]'" in capsys.readouterr().err


def test_json_has_each_event_with_its_source(events: Any, server: SandboxProcess) -> None:
    found = json.loads(events("--json", "--api", "audit"))
    assert [one["body"] for one in found] == bodies(events("--format", "ndjson", "--api", "audit"))
    assert {one["source"] for one in found} == {NAME}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ip", "here"), "--ip takes an address or a network, not 'here'. Such as"),
        (("--format", "parquet"), "Parquet needs a file. Add --output FILE.parquet."),
        (("--follow", "-o", "x.csv"), "--follow writes to standard output. Leave --output out"),
    ],
)
def test_what_does_not_go_is_named(
    flags: tuple[str, ...], message: str, filled: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", filled)
    assert cli.main(["events", NAME, *flags]) == cli.WRONG_USE
    assert message in capsys.readouterr().err


def test_follow_shows_what_comes(
    filled: str, tmp_path: Path, server: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    with sqlite3.connect(filled.removeprefix("sqlite:///")) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    database.close()
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{copy}")
    command = [
        sys.executable,
        "-m",
        "deployments.cli",
        "events",
        NAME,
        "--follow",
        "--format",
        "ndjson",
        "--user",
        "x@y",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        with sqlite3.connect(copy, timeout=30) as database:
            for number in range(3):
                body = json.dumps({"uuid": f"new-{number}", "actor_details": {"email": "X@Y"}})
                for each in (body, json.dumps({"uuid": f"other-{number}"})):
                    database.execute(
                        "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) SELECT id, ?, ?, 0, ? "
                        "FROM streams WHERE api = 'audit'",
                        (json.loads(each)["uuid"], number, each),
                    )
                database.commit()
        database.close()
        shown = [json.loads(process.stdout.readline())["uuid"] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (0, "")
    assert shown == ["new-0", "new-1", "new-2"]
