"""`onepassword-source install-service`: a systemd service that runs `up`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks import settings
from blocks.errors import ThirdPartyConfigError
from deployments.commands.support.options import Json
from deployments.commands.support.usage import usage_error
from deployments.service import installer
from deployments.service.unit_files import NAME, PROGRAM, Service
from deployments.terminal_output import print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from deployments.json_records.store import ChangedFileRecord, ServiceFileRecord
    from deployments.service.installer import FileChange

SYSTEMD = Path("/run/systemd/system")
"""It exists where systemd is the init of the machine."""

DETAILS = """
The unit of the system is written by root. It runs `up` as a user of its own, hardened, with its data in /var/lib/NAME.
Settings are in /etc/NAME/environment. A file that was changed by hand is not replaced.
"""


def command(
    user: Annotated[
        bool, typer.Option("--user", help="A service of your own user, without root, for your own data directory.")
    ] = False,
    name: Annotated[str, typer.Option(metavar="NAME", help="The name of the service, and of its user.")] = PROGRAM,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace or remove a file that was changed by hand.")] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Remove what was written. Data, settings and the user stay.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Write below this directory, such as the root of an image."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the unit of the service, and print what to do next. Called again, it updates what it wrote."""
    service = _service(name, is_user=user, root=root)
    if dry_run:
        _print_files(service, as_json=as_json)
        return
    try:
        changes = _remove(service, force=force) if uninstall else _write(service, force=force)
    except PermissionError as error:
        raise ThirdPartyConfigError(
            f"{error.filename} cannot be written by this user. Nothing was changed.",
            hint="Run the command as root (sudo), or use --user for a service of your own user.",
            code="service",
        ) from None
    if as_json:
        answer: list[ChangedFileRecord] = [{"file": str(one.path), "change": one.change} for one in changes]
        print_json(answer)
        return
    for one in changes:
        print_line(f"{printable(one.path)}: {one.change}.")
    if uninstall:
        _print_rest(service, changes)
    else:
        _print_next(service)


def _service(name: str, *, is_user: bool, root: Path | None) -> Service:
    if not sys.platform.startswith("linux"):
        raise ThirdPartyConfigError(
            "This system has no systemd, so there is no service to install. Nothing was changed.",
            hint="Start `onepassword-source up` with the service manager of your system.",
            code="service",
        )
    if not NAME.fullmatch(name):
        raise usage_error("install-service", f"--name takes up to 31 of a-z, 0-9, _ and -, not {printable(name)!r}")
    if is_user and root is not None:
        raise usage_error("install-service", "--user and --root exclude each other")
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    program = Path(sys.executable).with_name(PROGRAM)
    data_dir = str(settings.data_dir()) if is_user and settings.read("DATA_DIR") else ""
    return Service(name, program, is_user, (root or Path("/")).absolute(), config_home, data_dir)


def _print_files(service: Service, *, as_json: bool) -> None:
    if as_json:
        answer: list[ServiceFileRecord] = [
            {"file": str(file.path), "content": file.content} for file in service.files()
        ]
        print_json(answer)
        return
    for file in service.files():
        print_note(f"{file.path} (mode {file.mode:04o}):")
        typer.echo(file.content)


def _write(service: Service, *, force: bool) -> list[FileChange]:
    if not service.is_user and service.root == Path("/"):
        installer.require_reachable(service.command, service.name)
    return installer.write(service, force=force)


def _remove(service: Service, *, force: bool) -> list[FileChange]:
    if not service.is_user and service.root == Path("/") and _is_active(service.name):
        raise ThirdPartyConfigError(
            f"The service {service.name} runs. Nothing was changed.",
            hint=f"Stop it first: systemctl disable --now {service.name}",
            code="service",
        )
    return installer.remove(service, force=force)


def _print_next(service: Service) -> None:
    if not SYSTEMD.exists():
        print_note("systemd does not run on this machine. The files work where it does.")
    print_note("Start it, now and after each boot:")
    for line in _start(service):
        print_note(f"    {line}")
    print_note("Look at it:")
    for line in _look(service):
        print_note(f"    {line}")
    print_note("Give it a source:")
    print_note(f"    {_call(service)} apply {'source.json' if service.is_user else '- < source.json'}")


def _print_rest(service: Service, changes: list[FileChange]) -> None:
    if not changes:
        print_note(f"There is no service {service.name}.")
        return
    state = service.data_dir or ("your data directory" if service.is_user else service.state)
    print_note(f"The events and secrets in {state} stay. Let systemd know: {_systemctl(service)} daemon-reload")


def _is_active(name: str) -> bool:
    """True if a process of the service exists, as systemd's own tree of groups shows."""
    groups = Path(f"/sys/fs/cgroup/system.slice/{name}.service/cgroup.procs")
    try:
        return bool(groups.read_text().strip())
    except OSError:
        return False


def _systemctl(service: Service) -> str:
    return "systemctl --user" if service.is_user else "systemctl"


def _start(service: Service) -> list[str]:
    if service.is_user:
        return [
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {service.name}",
            "loginctl enable-linger      # so that it runs while you are not logged in",
        ]
    return [
        f"systemd-sysusers {service.name}.conf",
        "systemctl daemon-reload",
        f"systemctl enable --now {service.name}",
    ]


def _look(service: Service) -> list[str]:
    journal = "journalctl --user -u" if service.is_user else "journalctl -u"
    return [f"{_systemctl(service)} status {service.name}", f"{journal} {service.name} -f", f"{_call(service)} status"]


def _call(service: Service) -> str:
    """The command with the data of the service."""
    if service.is_user:
        return str(service.command)
    variable = f"{settings.PREFIX}DATA_DIR={service.state}"
    return f"sudo -u {service.name} env {variable} {service.command}"
