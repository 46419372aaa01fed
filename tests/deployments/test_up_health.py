"""The file of `up`'s health: what is written is read, what is old counts no longer, and what is odd is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blocks import clock
from deployments import up_health
from deployments.up_health import FRESH_SECONDS, Trouble, UpHealth

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("moving")

TROUBLE = Trouble("server", "The Prefect server does not answer.", 1_790_000_000.5)
WARNING = Trouble("disk", "Only 1 MB are free.", 1_790_000_001.0)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `up` writes its health."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    assert up_health.path() == tmp_path / "data" / "up-health.json"
    return up_health.path()


def health(age: float = 0) -> UpHealth:
    return UpHealth(clock.now() - age, False, (TROUBLE,), 1_790_000_000.25, 2, 3, (WARNING,))


def test_what_is_written_is_read(file: Path) -> None:
    up_health.write(file, health())
    assert up_health.read(file) == health()
    assert file.stat().st_mode & 0o777 == 0o600
    up_health.write(file, UpHealth(5, healthy=True, troubles=(), started=1))
    assert up_health.read(file) == UpHealth(5, True, (), 1, 0, 0, ())


def test_it_is_json_for_people_too(file: Path) -> None:
    up_health.write(file, UpHealth(5.5, healthy=False, troubles=(Trouble("disk", "It is full.", 4.5),), started=1))
    assert file.read_text() == (
        '{"time":5.5,"healthy":false,"troubles":[{"what":"disk","text":"It is full.","since":4.5}],"started":1,'
        '"server_restarts":0,"worker_restarts":0,"warnings":[]}'
    )


def test_members_of_an_older_and_a_newer_version_are_no_problem(file: Path) -> None:
    file.write_text('{"time":5,"healthy":true,"troubles":[],"started":1,"new":{}}')
    assert up_health.read(file) == UpHealth(5, True, (), 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'{"time":5}', b'{"time":"5","healthy":true,"troubles":[],"started":1}', b"\xff"],
)
def test_what_cannot_be_read_is_none(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert up_health.read(file) is None
    assert up_health.troubles_now() == ()


def test_a_file_that_is_not_there_is_none(file: Path) -> None:
    assert up_health.read(file) is None
    file.mkdir()
    assert up_health.read(file) is None
    with pytest.raises(OSError, match="directory"):
        up_health.write(file, health())


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(0, True), (FRESH_SECONDS, True), (FRESH_SECONDS + 1, False), (-FRESH_SECONDS, True), (-FRESH_SECONDS - 1, False)],
)
def test_troubles_and_warnings_are_those_of_an_up_that_runs(file: Path, age: float, *, fresh: bool) -> None:
    assert (up_health.troubles_now(), up_health.warnings_now()) == ((), ())
    up_health.write(file, health(age))
    assert health(age).is_fresh is fresh
    assert up_health.troubles_now() == ((TROUBLE,) if fresh else ())
    assert up_health.warnings_now() == ((WARNING,) if fresh else ())
