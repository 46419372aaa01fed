"""References to secrets: one reader for tokens and SIEMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_op import REFERENCE, SECRET, FakeOp

from blocks.secret_references.secret_reader import SecretReader

if TYPE_CHECKING:
    from pathlib import Path

    from blocks.problems import Problem


def read(value: object, reader: SecretReader | None = None) -> tuple[object, list[str]]:
    problems: list[Problem] = []
    found = (reader or SecretReader()).read(value, "$.secret", problems)
    assert all(problem.path == "$.secret" for problem in problems)
    return found, [problem.description for problem in problems]


@pytest.mark.parametrize("value", [None, "a secret", "", 5, True, ["list"]])
def test_what_refers_to_nothing_stays_as_it_is(value: object) -> None:
    assert read(value) == (value, [])
    assert read(value, SecretReader(follows=False)) == (value, [])


def test_a_secret_comes_from_a_file_a_variable_or_1password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeOp(tmp_path / "bin").use(monkeypatch)
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.setenv("A_SECRET", "from-a-variable")
    monkeypatch.setenv("A_REFERENCE", REFERENCE)
    assert read({"file": str(tmp_path / "token")}) == ("from-a-file", [])
    assert read({"env": "A_SECRET"}) == ("from-a-variable", [])
    assert read(REFERENCE) == (SECRET, [])
    assert read({"env": "A_REFERENCE"}) == (SECRET, [])


@pytest.mark.parametrize(
    "value", [{}, {"env": 5}, {"file": None}, {"env": ""}, {"path": "/x"}, {"env": "A", "file": "/b"}]
)
def test_an_object_of_another_form_is_a_problem(value: object) -> None:
    assert read(value) == ("", ["it is not a secret"])


def test_a_variable_that_is_not_set_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_SECRET", raising=False)
    assert read({"env": "A_SECRET"}) == ("", ['the environment variable "A_SECRET" is not set'])


def test_where_no_reference_may_be_read_nothing_is_opened_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch)
    (tmp_path / "token").write_text("from-a-file")
    monkeypatch.setenv("A_SECRET", "from-a-variable")
    for value in ({"file": str(tmp_path / "token")}, {"env": "A_SECRET"}, REFERENCE):
        found, (problem,) = read(value, SecretReader(follows=False))
        assert found == ""
        assert "references are not read here" in problem
    assert op.calls == []


def test_many_sources_with_one_reference_call_the_program_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch)
    reader = SecretReader()
    assert [read(REFERENCE, reader)[0] for _ in range(5)] == [SECRET] * 5
    assert len(op.calls) == 1
