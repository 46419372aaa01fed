"""The identity of a process: which ones are known to be dead, and of which nothing is known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.one_machine import wait_until

from blocks import process_identity
from blocks.process_identity import ProcessIdentity

if not sys.platform.startswith("linux"):
    pytest.skip("only Linux has what an identity is made of", allow_module_level=True)

ROOT = Path(process_identity.__file__).parent.parent
SAYS = "from blocks import process_identity as p; print(p.own().as_text(), flush=True)"
ASKS = (
    "import sys; from blocks.process_identity import *; print(ProcessIdentity.from_text(sys.argv[1]).is_known_dead(0))"
)


def python(*arguments: str, before: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*before, sys.executable, "-c", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if before and done.returncode:
        pytest.skip("only root may make namespaces")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def living() -> tuple[subprocess.Popen[str], ProcessIdentity]:
    """A process that lives until its standard input ends, and who it says it is."""
    command = [sys.executable, "-c", f"{SAYS}; import sys; sys.stdin.read()"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    identity = ProcessIdentity.from_text(process.stdout.readline())
    assert identity
    assert identity.pid == process.pid
    return process, identity


def test_it_is_this_process_and_stays_so() -> None:
    own = process_identity.own()
    assert own.pid == os.getpid()
    assert own == process_identity.own() == ProcessIdentity.from_text(own.as_text())
    assert own.started is not None
    since_boot = psutil.Process().create_time() - psutil.boot_time()
    assert abs(own.started / os.sysconf("SC_CLK_TCK") - since_boot) < 2
    assert not own.is_known_dead(time.time_ns())


def test_a_process_is_dead_once_it_was_killed_also_before_its_parent_knows() -> None:
    process, identity = living()
    assert not identity.is_known_dead(0)
    process.kill()
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert identity.is_known_dead(time.time_ns())
    process.communicate()
    assert not psutil.pid_exists(process.pid)
    assert identity.is_known_dead(time.time_ns())


def test_a_process_that_is_stopped_is_not_dead() -> None:
    process, identity = living()
    psutil.Process(process.pid).suspend()
    assert not identity.is_known_dead(0)
    process.kill()
    process.communicate()


def test_a_forked_child_is_not_its_parent() -> None:
    """A run is forked from a process that has imported everything and may have cached its own identity."""
    forks = f"{SAYS}\nimport os\nif os.fork():\n    os.wait()\nelse:\n    print(p.own().as_text(), os.getpid())"
    parent, child = python(forks).splitlines()
    before, after = ProcessIdentity.from_text(parent), ProcessIdentity.from_text(child.rpartition(" ")[0])
    assert before
    assert after
    assert after.pid == int(child.rpartition(" ")[2]) != before.pid
    assert before.namespace == after.namespace


def test_the_pid_of_a_dead_process_that_another_has_now_shows_by_its_start() -> None:
    own = process_identity.own()
    assert own.started
    assert replace(own, started=own.started - 1).is_known_dead(time.time_ns())


def test_a_process_of_an_earlier_boot_is_dead() -> None:
    earlier = replace(process_identity.own(), boot="another", namespace="of then")
    booted_ns = process_identity._boot_ns()
    assert earlier.is_known_dead(booted_ns - 10**9)


def test_activity_after_this_boot_shows_another_machine_of_the_same_name() -> None:
    other = replace(process_identity.own(), boot="another")
    assert not other.is_known_dead(process_identity._boot_ns() + 10**9)
    assert not other.is_known_dead(None)


@pytest.mark.parametrize("member", ["host", "machine", "namespace"])
def test_of_a_process_elsewhere_nothing_is_known(member: str) -> None:
    elsewhere = replace(process_identity.own(), **{member: "another"}, pid=2**22 + 1)
    assert not elsewhere.is_known_dead(0)


def test_a_process_without_an_identity_is_never_known_to_be_dead() -> None:
    assert not ProcessIdentity(process_identity.own().host).is_known_dead(0)


@pytest.mark.parametrize("text", [None, "", "nonsense", "5", "null", "[]", "[1,2,3,4,5,6,7]", '["a", "b"]'])
def test_what_is_no_identity_is_never_known_to_be_dead(text: str | None) -> None:
    found = ProcessIdentity.from_text(text)
    assert found is None or not found.is_known_dead(0)


def test_a_process_that_proc_hides_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `hidepid`, where another user's processes are not in /proc."""
    own, real = process_identity.own(), process_identity._stat
    parent = replace(own, pid=os.getppid(), started=0)
    assert parent.is_known_dead(0), "it is another one than that"

    def hidden(pid: str) -> list[str]:
        if pid == str(os.getppid()):
            raise FileNotFoundError
        return real(pid)

    monkeypatch.setattr(process_identity, "_stat", hidden)
    assert not parent.is_known_dead(0)


def test_containers_of_one_machine_know_nothing_of_each_other() -> None:
    own, inside = process_identity.own(), ("unshare", "--pid", "--fork", "--mount-proc")
    other = ProcessIdentity.from_text(python(SAYS, before=inside))
    assert other
    assert (other.host, other.boot) == (own.host, own.boot)
    assert other.pid == 1
    assert not other.is_known_dead(0), "it has ended, but this namespace cannot know"
    unused_pid = replace(own, pid=2**22 + 1)
    assert python(ASKS, unused_pid.as_text()) == "True"
    assert python(ASKS, unused_pid.as_text(), before=inside) == "False"


def test_a_proc_of_another_namespace_is_not_believed() -> None:
    found = ProcessIdentity.from_text(python(SAYS, before=("unshare", "--pid", "--fork")))
    assert found == ProcessIdentity(process_identity.own().host)
