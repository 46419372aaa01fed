"""An archive: in a real directory and in a real S3 server, read back with tools that are not ours."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from support import archive_writer, s3_server
from support import siems as support
from support.archives import arrived_in, block_of, one_batch
from support.paths import ROOT, SUPPORT, TESTS
from support.siem_conformance import Arrived, SenderConformance

from blocks.events_api.models import Api
from blocks.siem.archive import objects
from blocks.siem.archive.block import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from support.s3_server import S3Server

    from blocks.siem.base import SiemBlock

KILLS = 10
ENDLESS = 5_000  # more events than are written before a kill


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


class TestDirectory(SenderConformance):
    module = "blocks.siem.archive.sender"

    @pytest.fixture
    def block(self, tmp_path: Path) -> SiemBlock:
        return Archive(url=tmp_path.as_uri())

    @pytest.fixture
    def arrived(self, tmp_path: Path) -> Callable[[], list[Arrived]]:
        return lambda: arrived_in(tmp_path)

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        block = Archive(url="file://here/or/there", endpoint="http://example.org")
        return block, {"block.url", "block.endpoint"}


class TestS3(SenderConformance):
    module = "blocks.siem.archive.sender"
    secrets = (s3_server.KEY_ID, s3_server.SECRET)

    @pytest.fixture
    def block(self, s3: S3Server, tmp_path: Path) -> SiemBlock:
        return block_of(s3, tmp_path.name)

    @pytest.fixture
    def arrived(self, s3: S3Server, tmp_path: Path) -> Callable[[], list[Arrived]]:
        return lambda: arrived_in(s3.files / tmp_path.name)

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        block = Archive(url="s3://bucket", account="a", endpoint="ftp://x", secret_key=s3_server.SECRET)
        return block, {"block.account", "block.endpoint", "block.access_key_id"}


def test_a_file_name_has_source_api_hour_of_receipt_and_first_event_of_the_batch(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 3)[1:]))
    name = "source=1Pass/api=sign-in/date=2026-03-04/hour=05/00000000000000000002.ndjson.gz"
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.gz")] == [name]


@pytest.mark.parametrize(
    "source", ["..", "a/../../b", "/etc", "a\\b", "a\nb", "a=b/api=audit", ".", "é日本", "%2F", "n" * 128]
)
def test_no_name_of_a_source_leads_elsewhere(tmp_path: Path, s3: S3Server, source: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for block, files in (
        (Archive(url=root.as_uri()), root),
        (block_of(s3, tmp_path.name), s3.files / tmp_path.name),
    ):
        sender = block.get_sender()
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1), source=source))
        (file,) = files.rglob("*.gz")
        assert file.relative_to(files).parts[1:4] == ("api=sign-in", "date=2026-03-04", "hour=05")
        query = f"select distinct source from read_json('{files}/**/*.ndjson.gz', hive_partitioning = true)"
        assert duckdb.sql(query).fetchall() == [(source,)]
    assert list(tmp_path.iterdir()) == [root]


def test_two_sources_never_have_one_place() -> None:
    names = [
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "a b",
        "a+b",
        "é",
        "e\u0301",
        "x" * 128,
        "日" * 128,
        "日" * 127 + "本",
        "日" * 127,
    ]
    segments = [objects.path_segment(name) for name in names]
    cut = objects.path_segment("日" * 128)
    assert len({*segments, objects.path_segment(cut)}) == len(names) + 1
    assert max(map(len, segments)) < 250
    assert not [one for one in segments if "/" in one or not one.isascii() or not one.isprintable()]


def test_the_same_batch_makes_the_same_bytes(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    seen = set()
    for _ in range(2):
        sender.send(one_batch(sender, support.events(Api.AUDIT, 50)))
        (file,) = tmp_path.rglob("*.gz")
        seen.add(file.read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_a_batch_that_begins_at_the_same_event_replaces_its_object(tmp_path: Path, s3: S3Server, kind: str) -> None:
    block = Archive(url=tmp_path.as_uri()) if kind == "directory" else block_of(s3, tmp_path.name)
    files = tmp_path if kind == "directory" else s3.files / tmp_path.name
    sender = block.get_sender()
    for count in (50, 80, 30):
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, count)))
        assert [one.uuid for one in arrived_in(files)] == [one.uuid for one in support.events(Api.SIGN_IN, count)]


def test_zcat_and_duckdb_read_the_lines(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    events = support.events(Api.AUDIT, 60)
    sender.send(support.batch(sender, events, support.stream(Api.AUDIT)))
    (file,) = tmp_path.rglob("*.gz")
    lines = subprocess.run(["zcat", file], capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [json.loads(one.body) for one in events]
    found = duckdb.sql(f"""
        select uuid, api, "date", hour, event->>'$.action' from
        read_json('{tmp_path}/**/*.ndjson.gz', hive_partitioning = true, columns = {{uuid: 'text', event: 'json'}})
    """).fetchall()
    assert [row[0] for row in found] == [one.uuid for one in events]
    assert {(row[1], str(row[2]), int(row[3])) for row in found} == {("audit", "2026-03-04", 5)}
    assert [row[4] for row in found] == [json.loads(one.body)["action"] for one in events]


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["directory", "s3"])
@pytest.mark.parametrize("form", ["ndjson.gz", pytest.param("parquet", marks=pytest.mark.torture)])
def test_every_event_is_there_once_however_often_the_writer_is_killed(
    tmp_path: Path, s3: S3Server, kind: str, form: str
) -> None:
    position, root, chance = tmp_path / "position", tmp_path / "root", random.Random(7)  # noqa: S311 - no secrets
    root.mkdir()
    if kind == "directory":
        place, access = root, [root.as_uri()]
    else:
        url = f"s3://{s3_server.BUCKET}/{tmp_path.name}"
        place, access = s3.files / tmp_path.name, [url, s3.url, s3_server.KEY_ID, s3_server.SECRET]
    for _ in range(KILLS):
        _run([position, str(ENDLESS), "5", form, *access], chance.uniform(0, 0.12))
        _found(place, form)  # raises where a part of an object stands under its name
    count = int(position.read_text() if position.exists() else "0") + 100
    _run([position, str(count), "5", form, *access])
    assert sorted(_found(place, form)) == [archive_writer.uuid_of(number) for number in range(count)]
    assert not list(place.rglob(".*")), "what a killed writer left is swept when its file is written again"


def _run(arguments: Sequence[str | Path], seconds: float | None = None) -> None:
    """Run the writer to its end, or kill it at that moment."""
    command = [sys.executable, SUPPORT / "archive_writer.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{ROOT}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
        if seconds is None:
            assert writer.wait() == 0
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(seconds)
            writer.kill()


def _found(place: Path, form: str) -> list[str]:
    if not list(place.rglob(f"*.{form}")):
        return []
    read = "read_json" if form == "ndjson.gz" else "read_parquet"
    return [row[0] for row in duckdb.sql(f"select uuid from {read}('{place}/**/*.{form}')").fetchall()]
