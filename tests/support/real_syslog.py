"""Real syslog daemons of Debian, unpacked by tests/support/install_debian.sh, which listen for TLS on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support import certificates
from support.one_machine import wait_until
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

DEBIAN = ROOT / ".venv" / "debian"
STOP_SECONDS = 20.0

_GLOBAL = """
global(workDirectory="{0}" maxMessageSize="{1}" parser.escapeControlCharactersOnReceive="off"
       parser.supportCompressionExtension="off"
       defaultNetstreamDriverCAFile="{0}/authority.pem" defaultNetstreamDriverCertFile="{0}/certificate.pem"
       defaultNetstreamDriverKeyFile="{0}/key.pem")
module(load="imtcp" streamDriver.name="{2}" streamDriver.mode="1" streamDriver.authMode="{3}" {4})
module(load="mmpstrucdata")
template(name="parsed" type="string"
 string="%pri% %protocol-version% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% %msgid%\\t%$!%\\t%msg%\\n")
"""
_RULES = """
ruleset(name="received" {1}) {{
  action(type="mmpstrucdata" sd_name.lowercase="off")
  action(type="omfile" file="{0}/received" template="parsed")
}}
input(type="imtcp" address="127.0.0.1" port="{2}" listenPortFileName="{0}/port" ruleset="received")
"""
_SYSLOG_NG = """
@version: {2}
options {{ log-msg-size(65536); keep-hostname(yes); use-dns(no); dns-cache(no); stats-freq(0); }};
source received {{ syslog(ip("127.0.0.1") port({1}) transport("tls")
  tls(cert-file("{0}/certificate.pem") key-file("{0}/key.pem") peer-verify(optional-untrusted))); }};
destination parsed {{ file("{0}/received" template("$(format-json --scope rfc5424 --pair PRI=$PRI \
--pair AT=${{S_ISODATE}} --pair PROCID=$PID --pair FROM=$HOST --pair USEC=${{S_USEC}})\\n")); }};
log {{ source(received); destination(parsed); flags(flow-control); }};
"""
DIRECT = 'queue.type="Direct"'
"""With it, rsyslog writes each message before it reads the next one, and so before it answers close_notify."""


@dataclass(frozen=True)
class Message:
    """A message as a daemon has parsed it."""

    pri: int
    timestamp: str
    hostname: str
    app_name: str
    procid: str
    msgid: str
    sd: dict[str, dict[str, Any]]
    msg: bytes


@dataclass
class Daemon:
    """A daemon that a test can kill and restart on the same port; its output file stays."""

    directory: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        (self.directory / "port").unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=_environment())
        wait_until(self._is_ready, STOP_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL at any moment."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def lines(self) -> list[bytes]:
        """The complete lines received so far, without line ends."""
        return list(self.each_line())

    def each_line(self) -> Iterator[bytes]:
        """Iterate over the complete lines: millions of them do not fit into memory."""
        with contextlib.suppress(FileNotFoundError), (self.directory / "received").open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def messages(self) -> list[Message]:
        return [self._parsed(line) for line in self.lines()]

    def forget(self) -> None:
        """Empty the output file; the daemon continues to append to it."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.directory / "received", 0)

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        return self._listens()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _listens(self) -> bool:
        raise NotImplementedError

    def _parsed(self, line: bytes) -> Message:
        raise NotImplementedError


@dataclass
class Rsyslog(Daemon):
    """`auth_mode`: anon, x509/certvalid (clients need a certificate), or x509/name (of a name in `permitted`)."""

    driver: str = "ossl"
    auth_mode: str = "anon"
    permitted: str = "localhost"
    queue: str = DIRECT
    max_message: str = "64k"

    def _command(self) -> list[str]:
        peers = f'permittedPeer="{self.permitted}"' if self.auth_mode == "x509/name" else ""
        start = _GLOBAL.format(self.directory, self.max_message, self.driver, self.auth_mode, peers)
        config = self.directory / "rsyslog.conf"
        config.write_text(start + _RULES.format(self.directory, self.queue, self.port))
        modules = str(next(DEBIAN.glob("usr/lib/*/rsyslog")))
        return [str(DEBIAN / "usr/sbin/rsyslogd"), "-n", "-i", "NONE", "-f", str(config), "-M", modules]

    def _listens(self) -> bool:
        port = self.directory / "port"
        self.port = self.port or int((port.exists() and port.read_text()) or 0)
        return self.port > 0 and _answers(self.port)

    def _parsed(self, line: bytes) -> Message:
        header, sd, msg = line.split(b"\t", 2)
        pri, _, timestamp, hostname, app_name, procid, msgid = header.decode().split(" ")
        return Message(int(pri), timestamp, hostname, app_name, procid, msgid, json.loads(sd)["rfc5424-sd"], msg)


@dataclass
class SyslogNg(Daemon):
    def _command(self) -> list[str]:
        modules = next(path for path in DEBIAN.glob("usr/lib/syslog-ng/*") if path.is_dir())
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as door:
                self.port = door.getsockname()[1]
        config = self.directory / "syslog-ng.conf"
        config.write_text(_SYSLOG_NG.format(self.directory, self.port, modules.name).lstrip())
        files = [f"--{name}={self.directory / name}" for name in ("persist-file", "control", "pidfile")]
        return [
            str(DEBIAN / "usr/sbin/syslog-ng"),
            *("-F", "--no-caps", "-f", str(config), f"--module-path={modules}"),
            *files,
        ]

    def _listens(self) -> bool:
        return _answers(self.port)

    def _parsed(self, line: bytes) -> Message:
        has = json.loads(line)
        sd: dict[str, dict[str, Any]] = has["_SDATA"]
        timestamp = f"{has['AT'][:19]}.{has['USEC']}"
        names = (has["FROM"], has["PROGRAM"], has.get("PROCID", "-"), has["MSGID"])
        return Message(int(has["PRI"]), timestamp, *names, sd, has["MESSAGE"].encode())


@contextlib.contextmanager
def running(daemon: Daemon, shown: x509.Certificate | None = None) -> Iterator[Daemon]:
    """Run the daemon with the certificate `shown`, by default one for this machine; its directory has the authority."""
    require()
    certificates.write_authority(daemon.directory / "authority.pem")
    chosen = shown or certificates.certificate(certificates.HERE)
    (daemon.directory / "certificate.pem").write_bytes(chosen.public_bytes(Encoding.PEM))
    (daemon.directory / "key.pem").write_text(pem_of(certificates.SERVER_KEY))
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def require() -> None:
    """Skip the test where the daemons cannot be installed. On Debian and in CI, fail if they are missing."""
    if (DEBIAN / "ready").exists():
        return
    if os.environ.get("CI") or Path("/etc/debian_version").exists():
        pytest.fail("rsyslog and syslog-ng are missing: run tests/support/install_debian.sh, as make test does.")
    pytest.skip("There are no rsyslog and syslog-ng: tests/support/install_debian.sh unpacks them on Debian only.")


def _environment() -> dict[str, str]:
    libraries = [str(path) for path in (*DEBIAN.glob("usr/lib/*-linux-gnu*"), *DEBIAN.glob("lib/*-linux-gnu*"))]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([*libraries, str(DEBIAN / "usr/lib/syslog-ng")])}


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
