"""Who keeps others out, and who no longer does: on a stream, a window, and a forward's position, in real processes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.at_once import at_once
from support.claim_kinds import DAY, KINDS, WANTED, Kind, prepare
from support.moving_clock import MovingClock
from support.one_machine import wait_until
from support.values import SOURCE
from torture.processes import Fork, Forks

from blocks import clock, process_identity
from blocks.errors import ClaimLostError
from blocks.store import claims, source_status, streams
from blocks.store.backfill import jobs
from blocks.store.claim_expiry import CLAIM_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from blocks.process_identity import ProcessIdentity

    Rows = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def claimants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks.of("claimants", tmp_path_factory.mktemp("claimants"), dict(os.environ)) as made:
        yield made


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, engine: Engine) -> Kind:
    prepare(engine)
    return KINDS[request.param]


@pytest.fixture
def other(claimants: Forks, kind: Kind, store_url: str, rows: Rows) -> Fork:
    """Another process, which has the claim. It lives."""
    (name,) = [name for name, one in KINDS.items() if one is kind]
    fork = claimants.call(url=store_url, kind=name)
    wait_until(lambda: rows(kind.ask("holder")) == [(f"run of {fork.pid}",)] or fork.ended())
    assert not fork.ended(), claimants.log
    return fork


def test_the_claim_of_a_killed_process_is_replaced_at_once(other: Fork, kind: Kind, engine: Engine, rows: Rows) -> None:
    other.kill()
    ((fence,),) = rows(kind.ask("fence"))
    assert kind.take(engine, "run-2").fence == fence + 1
    assert rows(kind.ask("holder")) == [("run-2",)]


def test_the_claim_of_a_living_process_keeps_others_out(other: Fork, kind: Kind, engine: Engine, rows: Rows) -> None:
    found = kind.take(engine, "run-2")
    assert found is None or kind.table == "windows"  # then it is the next one
    assert rows(kind.ask("holder")) == [(f"run of {other.pid}",)]
    assert rows(kind.ask("claimed_ns IS NOT NULL")) == [(True,)]
    other.kill()


def test_a_clock_that_was_set_back_changes_nothing_of_it(
    other: Fork, kind: Kind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.kill()
    now_ns = clock.now_ns()
    monkeypatch.setattr(clock, "clock", MovingClock(now_ns - 60 * 10**9))
    assert kind.take(engine, "run-2")


@pytest.mark.parametrize("kind", ["stream", "position"], indirect=True)
def test_of_two_that_find_a_dead_one_one_alone_goes_on(other: Fork, kind: Kind, engines: tuple[Engine, Engine]) -> None:
    other.kill()
    found = at_once(lambda: kind.take(engines[0], "run-2"), lambda: kind.take(engines[1], "run-3"))
    assert sum(one is not None for one in found) == 1, found


def rewritten(engine: Engine, kind: Kind, process: str | None, **more: int) -> Any:
    """Take a claim, and have its row say that this process did."""
    claim = kind.take(engine, "run-1")
    assert claim
    values = {"holder_process": process, **more}
    with engine.begin() as connection:
        changed = ", ".join(f"{name} = :{name}" for name in values)
        connection.execute(text(f"UPDATE {kind.table} SET {changed} WHERE {kind.where}"), values)
    return claim


def is_replaced(engine: Engine, kind: Kind, rows: Rows) -> bool:
    kind.take(engine, "run-2")
    return rows(kind.ask("holder")) == [("run-2",)]


def test_the_pid_of_a_dead_process_that_another_has_now_blocks_no_run(kind: Kind, engine: Engine, rows: Rows) -> None:
    own = process_identity.own()
    assert own.started
    claim = rewritten(engine, kind, replace(own, started=own.started - 1).as_text())
    assert is_replaced(engine, kind, rows)
    with pytest.raises(ClaimLostError):
        kind.renew(engine, claim)


@pytest.mark.parametrize("member", ["host", "machine", "namespace"])
def test_who_is_elsewhere_is_left_to_expiry(
    kind: Kind, engine: Engine, rows: Rows, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(process_identity.own(), **{member: "another"}, pid=_free_pid())
    rewritten(engine, kind, elsewhere.as_text())
    assert not is_replaced(engine, kind, rows)
    expired_ns = clock.now_ns() + CLAIM_NS + 10**9
    monkeypatch.setattr(clock, "now_ns", lambda: expired_ns)
    assert is_replaced(engine, kind, rows)


@pytest.mark.parametrize("process", [None, "", "nonsense", '["of a later version", 1, 2, 3, 4, 5, 6, 7]'])
def test_who_is_unknown_is_left_to_expiry(kind: Kind, engine: Engine, rows: Rows, process: str | None) -> None:
    rewritten(engine, kind, process)
    assert not is_replaced(engine, kind, rows)


@pytest.mark.parametrize("after_boot", [False, True])
def test_who_is_of_an_earlier_boot_is_dead_unless_it_has_lived_in_this_one(
    kind: Kind, engine: Engine, rows: Rows, after_boot: bool
) -> None:
    """Then it is another machine of the same name. A long wait keeps its claim from expiring."""
    now_ns, booted_ns = clock.now_ns(), process_identity._boot_ns()
    times = {
        "claim_renewed_ns": booted_ns + 10**9 if after_boot else booted_ns - 10**9,
        "claim_expires_ns": now_ns + DAY,
    }
    rewritten(engine, kind, _of_another_boot().as_text(), **times)
    assert is_replaced(engine, kind, rows) is not after_boot


def _of_another_boot() -> ProcessIdentity:
    return replace(process_identity.own(), boot="another", namespace="another")


def _free_pid() -> int:
    return 2**22 + 1  # the kernel gives none as high


def test_the_window_of_a_dead_process_is_the_next_one_since_it_is_the_oldest(engine: Engine, rows: Rows) -> None:
    prepare(engine)
    rewritten(engine, KINDS["window"], _dead())
    taken = KINDS["window"].take(engine, "run-2")
    assert taken.start_ns == WANTED.start_ns


def _dead() -> str:
    return replace(process_identity.own(), pid=_free_pid()).as_text()


def test_a_released_claim_leaves_no_holder(kind: Kind, engine: Engine, rows: Rows) -> None:
    kind.release(engine, kind.take(engine, "run-1"))
    columns = "holder, holder_process, claimed_ns, claim_expires_ns"
    assert rows(kind.ask(columns)) == [(None,) * 4]


@pytest.mark.parametrize("name", ["stream", "window"])
def test_nothing_is_claimed_by_the_dead(engine: Engine, name: str) -> None:
    """`stop`, `rename` and `delete` wait for the runs of a source to end."""
    prepare(engine)
    assert not streams.are_claimed(engine, SOURCE.id)
    KINDS[name].take(engine, "run-1")
    assert streams.are_claimed(engine, SOURCE.id)
    _declare_dead(engine, name)
    assert not streams.are_claimed(engine, SOURCE.id)


def _declare_dead(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {KINDS[name].table} SET holder_process = :dead"), {"dead": _dead()})


def test_status_shows_no_run_that_is_dead(engine: Engine) -> None:
    prepare(engine)
    for one in KINDS.values():
        assert one.take(engine, "run-1")

    def shown() -> tuple[str, bool, int]:
        (source,) = source_status.sources(engine, SOURCE.name)
        (audit,) = [stream for stream in source.streams if stream.api == "audit"]
        (backfill,) = source_status.unfinished_backfills(engine)[SOURCE.id]
        (progress,) = jobs.progress(engine, backfill.id)
        return audit.state, backfill.running, progress.held

    assert shown() == ("reading", True, 1)
    for name in KINDS:
        _declare_dead(engine, name)
    assert shown() == ("not read yet", False, 0)


def test_who_has_a_claim_and_since_when_is_known(kind: Kind, engine: Engine) -> None:
    assert kind.take(engine, "run-1")
    with engine.connect() as connection:
        row = connection.execute(text(kind.ask("*"))).one()
    own = process_identity.own()
    assert claims.holder_of(row) == claims.Holder("run-1", own.host, own.pid, row.claimed_ns)
    assert abs(clock.now_ns() - row.claimed_ns) < DAY
