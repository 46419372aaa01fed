"""Which process this is, among all that ever ran; and whether a process that was recorded earlier is known to be dead.

A process id alone says little: it is reused, it is counted per container, and it starts again after a boot. So the
identity names the machine, its boot, the pid namespace and the start time too. Where these cannot be read (macOS, a
/proc that is hidden or of another namespace) the host alone is recorded, and nothing is known of that process.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from blocks import clock

_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_STATE, _STARTED = 0, 19  # the places in /proc/PID/stat behind the name, which may hold spaces and parentheses
_GONE = frozenset("ZXx")  # a zombie runs no more code: its parent has only not collected it yet


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process. `started` is in clock ticks since the boot. None: the system does not provide it."""

    host: str
    machine: str = ""
    boot: str | None = None
    namespace: str | None = None
    pid: int | None = None
    started: int | None = None

    def as_text(self) -> str:
        """As the store keeps it: the same text for the same process, and for no other."""
        return json.dumps(astuple(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> ProcessIdentity | None:
        """The identity that `as_text` wrote; None for anything else."""
        try:
            return cls(*json.loads(text or ""))
        except (ValueError, TypeError):
            return None

    def is_known_dead(self, seen_ns: int | None) -> bool:
        """True if the process has certainly ended. It was seen alive at `seen_ns` (ns since 1970), by its own clock.

        False if it lives, and if that cannot be known: it is of another machine, or of another pid namespace.
        """
        here = own()
        if self.boot is None or here.boot is None or (self.host, self.machine) != (here.host, here.machine):
            return False
        if self.boot != here.boot:
            # Machines can share a name. One that lived after this boot is not of an earlier boot of this machine.
            return seen_ns is not None and seen_ns < _boot_ns()
        if self.namespace != here.namespace or self.pid is None:
            return False
        return not _runs(self.pid, self.started)


def own() -> ProcessIdentity:
    """The identity of this process. It is read each time, so that a forked child never bears its parent's."""
    host = socket.gethostname()
    try:
        # A /proc of another pid namespace shows other processes under these numbers.
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return ProcessIdentity(host)
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
        started = int(_stat("self")[_STARTED])
    except (OSError, ValueError, IndexError):
        return ProcessIdentity(host)
    return ProcessIdentity(host, _machine(), boot, namespace, os.getpid(), started)


def _machine() -> str:
    """A digest of the machine's id, which is not to be shown as it is; empty where there is none, as in containers."""
    with suppress(OSError):
        if found := _MACHINE_ID.read_bytes().strip():
            return hashlib.sha256(b"onepassword-source " + found).hexdigest()[:16]
    return ""


def _runs(pid: int, started: int | None) -> bool:
    """True if the process runs, as far as can be known. It checks the kernel: /proc may hide other users' processes."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    try:
        found = _stat(str(pid))
        return found[_STATE] not in _GONE and int(found[_STARTED]) == started
    except (OSError, ValueError, IndexError):
        return True


def _stat(pid: str) -> list[str]:
    return (_PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _boot_ns() -> int:
    return clock.now_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
