"""Secrets from files: a variable `NAME_FILE` names a file that holds the value of `NAME`.

Containers, Kubernetes and systemd hand secrets over as files. A file is not shown where the environment of a process
is: in the description of a container or of a pod, in a unit, in a crash report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SUFFIX = "_FILE"
OCTETS_MAX = 65536
OURS = ("API_TOKEN", "DATABASE_URL", "CONSOLE_PASSWORD", "CONSOLE_VIEWER_PASSWORD", "HEARTBEAT_URL")
PREFECTS = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_ENCRYPTION_KEY",
)
VARIABLES = (*(settings.PREFIX + name for name in OURS), *PREFECTS)
"""The variables that may come from a file."""


def read_into(environment: MutableMapping[str, str]) -> None:
    """Replace each `NAME_FILE` by `NAME` with the content of the file, without white space at its ends.

    Raises ThirdPartyConfigError if a file cannot be read or is empty, or if both variables are set.
    """
    for name in VARIABLES:
        if path := environment.get(name + SUFFIX):
            environment[name] = _read(name, path, is_set=bool(environment.get(name)))
            del environment[name + SUFFIX]  # child processes get the value


def _read(name: str, path: str, *, is_set: bool) -> str:
    if is_set:
        raise _error(f"Both {name} and {name}{SUFFIX} are set.", f"Unset one of them: `unset {name}`.")
    try:
        with Path(path).open("rb") as file:
            content = file.read(OCTETS_MAX + 1)
        value = content.decode().strip()
    except OSError as error:
        raise _error(
            f"{name}{SUFFIX} names {path}, which cannot be read: {error.strerror}.",
            "Check that the file exists and that this user may read it.",
        ) from None
    except UnicodeDecodeError:
        value = ""
    if not value or len(content) > OCTETS_MAX or "\0" in value:
        raise _error(f"{name}{SUFFIX} names {path}, which holds no text.", "Write the value into it, on one line.")
    return value


def _error(message: str, hint: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(f"{message} Nothing was done.", hint=hint, code="setting")
