"""A machine whose init is this machine's systemd: its own processes, mounts, control groups and /etc, and nothing else.

It has this machine's /usr, read-only, and its network. It needs root. Only the units that are copied exist in it, so
that none touches this machine's devices or kernel settings.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INIT = Path("/usr/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
UNITS = (
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
    "basic.target",
    "shutdown.target",
    "multi-user.target",
    "dbus.service",
    "dbus.socket",
    "sockets.target",
    "exit.target",
    "systemd-exit.service",
)
SECONDS = 300.0
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# pivot_root and no chroot: a process in a chroot may not make the user namespace of PrivateUsers=.
# The first steps run before the control-group namespace, the others in it: the group of the machine is its root there.
OUTER = """
set -eu
mount -t cgroup2 cgroup2 "$1/cgroups"
mkdir -p "$1/cgroups/$2"
echo $$ > "$1/cgroups/$2/cgroup.procs"
exec unshare --cgroup sh -c "$3" machine "$1"
"""
INNER = """
set -eu
cd "$1/root"
mount --bind "$1/root" "$1/root"
cd "$1/root"
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$1/packages" packages
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p old
pivot_root . old
umount -l /old
mount --make-rshared /
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system PROGRAM
"""


def unavailable_reason() -> str:
    """Why no such machine can be made here; empty if it can."""
    if not sys.platform.startswith("linux") or not INIT.exists():
        return "there is no systemd"
    if os.geteuid() != 0:
        return "this user is not root"
    if not PYTHON.exists() or _version(PYTHON) != f"{sys.version_info.major}.{sys.version_info.minor}":
        return f"{PYTHON} is not the Python {sys.version_info.major}.{sys.version_info.minor} of these tests"
    probe = "mount -t cgroup2 cgroup2 /mnt && mount -t proc proc /proc"
    command = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--propagation", "private", "sh", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"namespaces are not allowed: {done.stderr.strip()}" if done.returncode else ""


def _version(python: Path) -> str:
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


@dataclass
class SystemdMachine:
    """The machine below `directory`. Its files may be changed before it boots."""

    directory: Path
    packages: Path
    """A directory that it sees as /packages."""
    init: int = 0
    process: subprocess.Popen[bytes] | None = None
    further: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("etc/systemd/system", "var/lib", "var/log", "var/tmp", "run", "tmp", "proc", "sys", "dev", "root"):
            (self.root / name).mkdir(parents=True)
        for name in ("home", "opt", "usr", "packages"):
            (self.root / name).mkdir()
        (self.directory / "cgroups").mkdir()
        (self.directory / "packages").symlink_to(self.packages)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        for name in ("tmp", "var/tmp"):
            (self.root / name).chmod(0o1777)
        for path in (self.root, *self.root.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name != "tmp":
                path.chmod(0o755)
        self._write_etc()

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def _write_etc(self) -> None:
        etc = self.root / "etc"
        for name in ("ld.so.cache", "ssl", "alternatives", "nsswitch.conf", "protocols", "services", "resolv.conf"):
            source = Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, etc / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, etc / name)
        users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
        (etc / "passwd").write_text(users + "messagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n")
        (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\nmessagebus:x:100:\n")
        (etc / "hosts").write_text("127.0.0.1 localhost\n")
        (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        for name in UNITS:
            shutil.copy(INIT.parent / "system" / name, etc / "systemd/system" / name)
        (etc / "systemd/system/sysinit.target").write_text(
            "[Unit]\nDescription=Start\nDefaultDependencies=no\nWants=systemd-journald.service dbus.socket\n"
        )

    def run_before_boot(self, *command: str) -> str:
        """Run a command in it while it is not booted; its output."""
        return self._finished(self._command("tests-setup", shlex.join(command)))

    def boot(self) -> None:
        """Start systemd, and wait until it answers."""
        log = (self.directory / "boot.log").open("ab")
        self.process = subprocess.Popen(
            self._command(f"tests-{os.getpid()}", f"{INIT} --system --unit=multi-user.target"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.init = self.wait(self._child)
        self.wait(lambda: self.call("systemctl", "show", "--property=Version", check=False))

    def call(self, *command: str, given: str = "", check: bool = True) -> str:
        """Run a command in the booted machine; its standard output."""
        entered = ["nsenter", "--target", str(self.init), "--mount", "--pid", "--cgroup", "--uts", "--ipc"]
        return self._finished([*entered, "env", "-i", f"PATH={PATH}", *command], given=given, check=check)

    def wait(self, done: Callable[[], object], seconds: float = SECONDS) -> object | int:
        """Wait until `done` returns something that is true; that."""
        deadline = time.monotonic() + seconds
        while not (value := done()):
            assert time.monotonic() < deadline, self.journal()
            assert self.process is None or self.process.poll() is None, (self.directory / "boot.log").read_text()
            time.sleep(0.2)
        return value

    def journal(self, *options: str) -> str:
        return self.call("journalctl", "--no-pager", *options, check=False) if self.init else ""

    def end(self) -> None:
        """Kill all of it: the end of a namespace's first process is the end of all others in it."""
        if self.process is not None:
            for pid in (self.init, self.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        remove = """mount -t cgroup2 cgroup2 "$1" && cd "$1" && find "$2" tests-setup -depth -type d -exec rmdir {} +"""
        groups = [str(self.directory / "cgroups"), f"tests-{os.getpid()}"]
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", remove, "machine", *groups]
        subprocess.run(command, capture_output=True, check=False)

    def _child(self) -> int:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
        return int(children[0]) if names == ["systemd"] else 0

    def _command(self, group: str, program: str) -> list[str]:
        spaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--propagation", "private", "--kill-child"]
        inner = INNER.replace("PROGRAM", program)
        return ["unshare", *spaces, "sh", "-c", OUTER, "machine", str(self.directory), group, inner]

    def _finished(self, command: list[str], *, given: str = "", check: bool = True) -> str:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert not (check and done.returncode), f"{command[-4:]}: {done.stdout}{done.stderr}"
        return done.stdout
