"""What an operator does to a source calls what the commands call, shows the result, and is recorded with who did it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.console_client import shown_text
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.store import audit_log, sources
from blocks.store import lifecycle as stored
from deployments import deferred

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

PATH = f"/sources/{SOURCE.id}"


@dataclass
class Lifecycle:
    """Stands in for `deployments.lifecycle`, which needs a Prefect server: it notes what is called."""

    engine: Engine
    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    ended: bool = True

    def locate(self, name: str) -> Any:
        if self.error is not None:
            raise self.error
        known = stored.find(self.engine, name)
        return SimpleNamespace(known=known, engine=self.engine, name=name, valid_block=lambda: None)

    def run_now(self, source: Any) -> str:
        self.calls.append(f"run {source.name}")
        return "the-run"

    def restart(self, source: Any) -> None:
        self.calls.append("restart")
        stored.restart(self.engine, source.known)

    def stop(self, source: Any) -> bool:
        self.calls.append("stop")
        stored.pause(self.engine, source.known)
        return self.ended

    def start(self, source: Any) -> None:
        self.calls.append("start")
        stored.resume(self.engine, source.known)

    def rename(self, old: str, new: str) -> None:
        self.calls.append(f"rename {old} {new}")

    def check_token(self, _source: Any, token: str) -> Any:
        self.calls.append(f"check {token}")
        return SimpleNamespace(account="ACCOUNT", scopes=frozenset({"auditevents"}))

    def replace_token(self, _source: Any, token: str, *, checked: bool) -> None:
        self.calls.append(f"replace {token} {checked}")

    def delete(self, name: str, *, purge: bool, removed: Any) -> Any:
        removed(3)
        self.calls.append(f"delete {name} {purge}")
        return SimpleNamespace(purged={} if purge else None, kept=7)


@pytest.fixture
def lifecycle(store: Engine, monkeypatch: pytest.MonkeyPatch) -> Lifecycle:
    sources.save(store, SOURCE)
    made = Lifecycle(store)
    monkeypatch.setattr(deferred, "lifecycle", made, raising=False)
    return made


def recorded(engine: Engine) -> list[tuple[str, str]]:
    return [(one.action, one.actor) for one in audit_log.of_source(engine, SOURCE.id) if one.action != "create"][::-1]


ACTOR = "Ada (console, testclient)"


def test_collect_starts_a_run_and_is_recorded(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    page = shown_text(operator.submit(f"{PATH}/collect"))
    assert "the-run" in page
    assert lifecycle.calls == ["run 1Pass"]
    assert recorded(lifecycle.engine) == [("collect", ACTOR)]


def test_restart_stop_and_start_are_recorded_with_who_did_it(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    for action in ("restart", "stop", "start"):
        operator.submit(f"{PATH}/{action}")
    assert lifecycle.calls == ["restart", "run 1Pass", "stop", "start", "run 1Pass"]
    assert recorded(lifecycle.engine) == [("restart", ACTOR), ("stop", ACTOR), ("start", ACTOR)]


def test_a_run_that_is_stopped_by_force_is_reported(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    lifecycle.ended = False
    assert "Its claims were revoked" in operator.submit(f"{PATH}/stop")


def test_a_new_token_is_checked_first_and_never_shown(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    page = shown_text(operator.submit(f"{PATH}/token", token=" the-token "))
    assert lifecycle.calls == ["check the-token", "replace the-token True", "run 1Pass"]
    assert "ACCOUNT" in page
    assert "auditevents" in page
    assert "the-token" not in page


def test_an_empty_token_changes_nothing(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    assert "There is no token in the form" in operator.submit(f"{PATH}/token", token=" ")
    assert lifecycle.calls == []


@pytest.mark.parametrize(("typed", "calls"), [("1pass", []), ("", []), ("1Pass", ["delete 1Pass False"])])
def test_a_deletion_needs_the_typed_name(
    operator: ConsoleClient, lifecycle: Lifecycle, typed: str, calls: list[str]
) -> None:
    page = operator.submit(f"{PATH}/delete", typed=typed)
    assert lifecycle.calls == calls
    assert ("7 events are kept" if calls else "does not match") in page


def test_a_purge_is_wanted_apart(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    page = operator.submit(f"{PATH}/delete", typed="1Pass", purge="on")
    assert lifecycle.calls == ["delete 1Pass True"]
    assert "all its events were removed" in page


def test_a_rename_takes_the_name_without_blanks(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    operator.submit(f"{PATH}/rename", name=" acme ")
    assert lifecycle.calls == ["rename 1Pass acme"]


def test_an_error_is_reported_with_its_hint(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    lifecycle.error = FirstPartyGenericError("The server <b> is away.", hint="Start it.", code="prefect")
    page = operator.submit(f"{PATH}/collect")
    assert "failed" in shown_text(page)
    assert "The server &lt;b&gt; is away." in page
    assert "Start it." in page


def test_an_unexpected_error_says_no_more_than_its_kind(
    operator: ConsoleClient, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    lifecycle.error = RuntimeError("a secret")
    page = operator.submit(f"{PATH}/collect")
    assert "RuntimeError" in page
    assert "a secret" not in page


def test_an_unknown_action_is_no_page(operator: ConsoleClient, lifecycle: Lifecycle) -> None:
    assert operator.post_form(f"{PATH}/explode").status_code == 404
    assert operator.post_form("/sources/unknown/stop").status_code == 404
    assert lifecycle.calls == []
