"""The files of a systemd service that runs `up`: made from templates, and recognized again.

Each begins with a digest of its other lines, so that a file that was changed by hand is not overwritten.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

from blocks import settings
from deployments import secret_files

PROGRAM = "onepassword-source"
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
"""A name of a service is that of its user, too."""
CREDENTIALS = (
    settings.PREFIX + "DATABASE_URL",
    settings.PREFIX + "HEARTBEAT_URL",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
)
"""The secrets that `up` may need."""
_FIRST = re.compile(r"# Written by `onepassword-source install-service` \S+; digest ([0-9a-f]{16})\.")
_ENVIRONMENT = """\
# Settings of the service, one NAME=VALUE a line. The page "Configuration" of the documentation lists them.
# Secrets are better kept in credentials: see the page "systemd" of the documentation.
#ONEPASSWORD_SOURCE_PORT=4200
"""
_SYSUSERS = 'u $name - "1Password Source" $state /usr/sbin/nologin\n'


@dataclass(frozen=True)
class ServiceFile:
    """A file with its path, its content and its mode. One that `is_yours` is written once and never replaced."""

    path: Path
    content: str
    mode: int = 0o644
    is_yours: bool = False


@dataclass(frozen=True)
class Service:
    """A service of the system, or of the user who calls. All paths are below `root`."""

    name: str
    command: Path
    is_user: bool = False
    root: Path = Path("/")
    config_home: Path = Path()
    data_dir: str = ""
    """Of a user's service: the data directory, if that is not the default one."""

    @property
    def unit(self) -> Path:
        folder = self.config_home / "systemd/user" if self.is_user else self.root / "etc/systemd/system"
        return folder / f"{self.name}.service"

    @property
    def environment_file(self) -> Path:
        return (self.config_home if self.is_user else self.root / "etc") / self.name / "environment"

    @property
    def state(self) -> str:
        """The data directory of the system's service."""
        return f"/var/lib/{self.name}"

    def files(self) -> list[ServiceFile]:
        """The files, the unit last: what it names exists by then."""
        yours = ServiceFile(self.environment_file, _ENVIRONMENT, 0o600, is_yours=True)
        unit = ServiceFile(self.unit, signed(self._unit_text()))
        if self.is_user:
            return [yours, unit]
        users = signed(Template(_SYSUSERS).substitute(name=self.name, state=self.state))
        return [yours, ServiceFile(self.root / f"etc/sysusers.d/{self.name}.conf", users), unit]

    def _unit_text(self) -> str:
        kind = "user" if self.is_user else "system"
        template = (Path(__file__).parent / f"{kind}.service").read_text(encoding="utf-8")
        data = f"Environment={_quoted(f'{settings.PREFIX}DATA_DIR={self.data_dir}')}\n" if self.data_dir else ""
        return Template(template).substitute(
            name=self.name, command=_quoted(str(self.command)), credentials=self._credentials(), data=data
        )

    def _credentials(self) -> str:
        names = [secret_files.credential_name(variable) for variable in CREDENTIALS]
        return "\n".join(f"LoadCredential={name}:{self.name}.{name}" for name in names)


def signed(text: str) -> str:
    """The text below a line with the version and its digest."""
    return f"# Written by `{PROGRAM} install-service` {version(PROGRAM)}; digest {_digest(text)}.\n{text}"


def is_unchanged(content: str) -> bool:
    """True if `signed` made this text, in this version or another one, and it was not changed since."""
    first, _, rest = content.partition("\n")
    found = _FIRST.fullmatch(first)
    return found is not None and found[1] == _digest(rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _quoted(text: str) -> str:
    """As a word in a unit file."""
    escaped = text.replace("%", "%%")
    if re.fullmatch(r"[\w./@+=%:-]+", escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
