"""Writing and removing the files of a service. A file that was changed by hand stays as it is, unless you force it."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from blocks.errors import ThirdPartyConfigError
from deployments.service.unit_files import is_unchanged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployments.service.unit_files import Service, ServiceFile

Change = Literal["written", "updated", "unchanged", "kept", "removed"]
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - compared
"""What the unit of the system hides from the service: ProtectHome and PrivateTmp."""


@dataclass(frozen=True)
class FileChange:
    """What was done to a file. `kept` is one of yours that exists already."""

    path: Path
    change: Change


def write(service: Service, *, force: bool = False) -> list[FileChange]:
    """Write the files of the service; nothing, if one of them was changed. Raises ThirdPartyConfigError, OSError."""
    files = service.files()
    if not force:
        _refuse_changed(file.path for file in files if not file.is_yours)
    return [FileChange(file.path, _write(file)) for file in files]


def remove(service: Service, *, force: bool = False) -> list[FileChange]:
    """Remove the files that `write` wrote, except yours. Raises ThirdPartyConfigError if one was changed, OSError."""
    files = [file for file in service.files() if file.path.exists()]
    if not force:
        _refuse_changed(file.path for file in files if not file.is_yours)
    return [FileChange(file.path, _remove(file)) for file in files]


def require_reachable(command: Path, user: str) -> None:
    """Raise ThirdPartyConfigError if the user of a service of the system could not run the command.

    The unit hides home directories. An installation there is that of one user.
    """
    needed = (command, Path(sys.executable), Path(sys.executable).resolve(), Path(__file__).resolve())
    for path in needed:
        hidden = next((place for place in HIDDEN if path.is_relative_to(place)), None)
        if hidden is not None:
            problem = f"{path} is below {hidden}, which the service does not see"
        elif (closed := _closed_directory(path)) is not None:
            problem = f"{closed} is closed to the user {user} of the service"
        else:
            continue
        raise ThirdPartyConfigError(
            f"{problem}. Nothing was written.",
            hint="Install the program where every user may run it: python3 -m venv /opt/onepassword-source, then "
            "/opt/onepassword-source/bin/pip install onepassword-source, and call install-service from there. "
            "Or use --user for a service of your own user.",
            code="service",
        )


def _closed_directory(path: Path) -> Path | None:
    parents = (parent for parent in reversed(path.parents) if parent.exists())
    return next((parent for parent in parents if not parent.stat().st_mode & stat.S_IXOTH), None)


def _refuse_changed(paths: Iterable[Path]) -> None:
    changed = [path for path in paths if path.exists() and not is_unchanged(path.read_text(encoding="utf-8"))]
    if changed:
        raise ThirdPartyConfigError(
            f"{changed[0]} was changed by hand, or this command did not write it. Nothing was changed.",
            hint=f"Keep your changes in a file of their own (systemctl edit {changed[0].stem}), and use --force to "
            "replace it.",
            code="service",
        )


def _write(file: ServiceFile) -> Change:
    exists = file.path.exists()
    if exists and file.is_yours:
        return "kept"
    if exists and file.path.read_text(encoding="utf-8") == file.content:
        return "unchanged"
    _make_directory(file.path.parent)
    part = file.path.with_name(f".{file.path.name}.part")
    part.write_text(file.content, encoding="utf-8")
    part.chmod(file.mode)
    part.replace(file.path)
    return "updated" if exists else "written"


def _make_directory(directory: Path) -> None:
    """Open to everyone, as below /etc: commands have a umask that closes what they make."""
    if directory.exists():
        return
    _make_directory(directory.parent)
    directory.mkdir()
    directory.chmod(0o755)


def _remove(file: ServiceFile) -> Change:
    if file.is_yours:
        return "kept"
    file.path.unlink()
    return "removed"
