"""What `up` creates before its worker starts, and what it says on the terminal."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments import sources
from deployments.one_machine import prepare
from deployments.prefect_api import automations, deploy, source_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


@dataclass
class Prefect:
    """A Prefect server with these sources: what was requested of it, in order."""

    names: list[str] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    due: list[str] = field(default_factory=list)
    problem: Exception | None = None
    store_problem: Exception | None = None
    done: list[object] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.done.append("closed")

    def ensure_work_pool(self, client: object, *, local: bool) -> None:
        self.done.append(("pool", client is self, local))

    def register_blocks(self, *, siems: bool) -> None:
        self.done.append(("blocks", siems))

    def deploy_all(self) -> list[str]:
        if self.problem is not None:
            raise self.problem
        self.done.append("deployments")
        return self.names

    def ensure_automations(self) -> automations.AutomationChanges:
        self.done.append("automations")
        return automations.AutomationChanges({}, self.warnings)

    def open_store(self) -> str:
        if self.store_problem is not None:
            raise self.store_problem
        return "the store"

    def create_due_runs(self, engine: object) -> list[str]:
        self.done.append(("runs", engine))
        return self.due


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    own = Prefect()

    def client(*, sync_client: bool) -> Prefect:
        assert sync_client
        return own

    replaced: list[tuple[Any, str, object]] = [
        (prepare, "get_client", client),
        (deploy, "ensure_work_pool", own.ensure_work_pool),
        (sources, "register_blocks", own.register_blocks),
        (sources, "deploy_all", own.deploy_all),
        (sources, "open_default_store", own.open_store),
        (automations, "ensure", own.ensure_automations),
        (source_runs, "create_due_runs", own.create_due_runs),
    ]
    for module, name, value in replaced:
        monkeypatch.setattr(module, name, value)
    umask = os.umask(0o022)
    yield own
    os.umask(umask)


def test_everything_is_created_in_its_order(prefect: Prefect) -> None:
    prepare.prepare()
    assert prefect.done == [
        ("pool", True, True),
        "closed",
        ("blocks", True),
        "deployments",
        "automations",
        ("runs", "the store"),
    ]


def test_without_a_source_it_says_how_to_create_one(prefect: Prefect, capsys: pytest.CaptureFixture[str]) -> None:
    assert prefect.names == []
    prepare.prepare()
    assert capsys.readouterr().out == (
        "There is no source yet. Create one, in another terminal, with: onepassword-source apply source.json\n"
    )


def test_it_names_what_is_collected_and_what_at_once(prefect: Prefect, capsys: pytest.CaptureFixture[str]) -> None:
    prefect.names, prefect.warnings, prefect.due = ["a", "b"], ("No automations here.",), ["b"]
    prepare.prepare()
    assert capsys.readouterr().out == (
        "No automations here.\n"
        "Collecting every five minutes: a, b.\n"
        "Collecting at once, because their last read is too old: b.\n"
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "s0"), (10, "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9"),
     (12, "s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, and 2 more")],
)  # fmt: skip
def test_it_names_ten_of_many(prefect: Prefect, capsys: pytest.CaptureFixture[str], number: int, text: str) -> None:
    prefect.names = [f"s{place}" for place in range(number)]
    prepare.prepare()
    assert capsys.readouterr().out == f"Collecting every five minutes: {text}.\n"


def test_a_store_that_does_not_answer_yet_is_no_problem(prefect: Prefect, capsys: pytest.CaptureFixture[str]) -> None:
    prefect.names, prefect.due = ["a"], ["a"]
    prefect.store_problem = FirstPartyGenericError("The store does not answer.", code="store")
    prepare.main()
    assert capsys.readouterr().out == "Collecting every five minutes: a.\n"


def test_a_problem_is_said_and_ends_with_code_1(prefect: Prefect, capsys: pytest.CaptureFixture[str]) -> None:
    prefect.problem = ThirdPartyConfigError("It cannot be deployed.", hint="Change it.")
    with pytest.raises(SystemExit) as ended:
        prepare.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out == f"{prefect.problem}\n"


def test_an_error_of_prefects_own_is_not_hidden(prefect: Prefect) -> None:
    prefect.problem = RuntimeError("Prefect's")
    with pytest.raises(RuntimeError, match="Prefect's"):
        prepare.main()


def test_what_it_writes_is_for_the_owner_alone(prefect: Prefect) -> None:
    prepare.main()
    assert prefect.done
    assert os.umask(0o022) == 0o077
