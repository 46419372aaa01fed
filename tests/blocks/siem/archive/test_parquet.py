"""Parquet, as DuckDB reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support import siems as support

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.siem.archive.block import Archive
from blocks.siem.formats import metadata

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ["uuid", "time", "received", "api", "account", "source", "event_id", "category", "metadata"]


def written(tmp_path: Path, sent: list[Any]) -> str:
    support.send_all(Archive(url=tmp_path.as_uri(), format="parquet").get_sender(), sent)
    (file,) = tmp_path.rglob("*.parquet")
    return f"read_parquet('{file}', hive_partitioning = false)"


@pytest.mark.parametrize("api", list(Api))
@pytest.mark.parametrize("format_name", support.FORMATS)
def test_every_documented_event_is_a_row_in_every_format(tmp_path: Path, format_name: str, api: Api) -> None:
    sent = support.formatted(api, support.DOCUMENTED, format_name)
    table = written(tmp_path, sent)
    last = "body" if format_name == "raw" else "document"
    kinds = {row[0]: row[1] for row in duckdb.sql(f"describe select * from {table}").fetchall()}
    assert list(kinds) == [*COLUMNS, last]
    assert kinds["time"] == kinds["received"] == "TIMESTAMPTZ_NS"
    rows = duckdb.sql(f"select * replace (epoch_ns(time) as time, epoch_ns(received) as received) from {table}")
    assert [_row(row) for row in rows.fetchall()] == [_expected(one) for one in sent]


def _row(row: tuple[Any, ...]) -> list[Any]:
    return [json.loads(value) if place == COLUMNS.index("metadata") else value for place, value in enumerate(row)]


def _expected(one: Any) -> list[Any]:
    event, stream = one.event, one.stream
    facts = metadata.event_facts(one)
    own = [event.uuid, event.time_ns, event.received_ns, facts["api"], facts.get("account"), stream.source]
    return [*own, one.event_id, stream.category, metadata.event_metadata(one), one.document.decode()]


def test_what_is_not_known_is_null_and_whatever_a_body_holds_is_kept(tmp_path: Path) -> None:
    one = support.event(category='a\n"b"\u2028', country="日本", details={"value": "x\u0000y"})
    table = written(tmp_path, support.of_events([one], support.stream(account=None, category=None, fields={})))
    found = duckdb.sql(f"select account, category, metadata->>'$._source', body from {table}").fetchall()
    assert found == [(None, None, "1Pass", one.body)]


@pytest.mark.parametrize("classifier", ["event-id", "parser", None])
def test_the_metadata_is_that_of_every_siem(tmp_path: Path, classifier: str | None) -> None:
    """A user's own words on what an event is are in no column."""
    fields = {"_siemForward": False, "_siemVendor": "x", "_siemEventID": "x", "_parser": "x", "team": "blue"}
    sent = support.formatted(Api.AUDIT, 20, classifier=classifier, fields=fields)
    found = duckdb.sql(f"select metadata from {written(tmp_path, sent)}").fetchall()
    assert [json.loads(row[0]) for row in found] == [metadata.event_metadata(one) for one in sent]
    assert not [row for row in found if '"x"' in row[0]]


def test_a_redacted_value_is_in_no_column(tmp_path: Path) -> None:
    from blocks.siem.formats import registry

    one = support.event(target_user={"email": "ana@example.org"})
    left = one.body.replace("ana@example.org", "***").encode()
    written(tmp_path, [registry.format_event("raw", one, support.stream(), left)])
    (file,) = tmp_path.rglob("*.parquet")
    content = duckdb.sql(f"select * from '{file}'").fetchall()
    assert "ana@example.org" not in str(content)
    assert "***" in str(content)


def test_the_same_batch_makes_the_same_bytes(tmp_path: Path) -> None:
    sent, seen = support.formatted(Api.AUDIT, 50), set()
    for _ in range(2):
        written(tmp_path, sent)
        (file,) = tmp_path.rglob("*.parquet")
        seen.add(file.read_bytes())
    assert len(seen) == 1


def test_hive_partitions_are_columns_too(tmp_path: Path) -> None:
    written(tmp_path, support.formatted(Api.AUDIT, 5, source="a/b é"))
    query = f"select distinct source, api, \"date\"::text, hour::int from read_parquet('{tmp_path}/**/*.parquet')"
    assert duckdb.sql(query).fetchall() == [("a/b é", "audit", "2026-03-04", 5)]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    monkeypatch.delitem(sys.modules, "blocks.siem.archive.parquet", raising=False)
    monkeypatch.delattr("blocks.siem.archive.parquet", raising=False)
    with pytest.raises(ThirdPartyConfigError, match=r"pip install 'onepassword-source\[parquet\]'"):
        Archive(url="file:///x", format="parquet").get_sender()
    assert Archive(url="file:///x").get_sender()


@pytest.mark.processes
def test_lines_need_no_parquet_and_a_directory_no_client_of_object_stores() -> None:
    code = (
        "import sys; from blocks.siem.archive.block import Archive; Archive(url='file:///x').get_sender();"
        "print({'obstore', 'arro3'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
