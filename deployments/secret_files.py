"""Secrets from files: a variable `NAME_FILE` names a file that holds the value of `NAME`.

Containers, Kubernetes and systemd hand secrets over as files. A file is not shown where the environment of a process
is: in the description of a container or of a pod, in a unit, in a crash report. A credential of systemd needs no
variable: the one named `database-url` is the value of ONEPASSWORD_SOURCE_DATABASE_URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.problems import ConfigurationError, Problem
from blocks.secret_references import secret_file

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SUFFIX = "_FILE"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd passes the directory of a service's credentials."""
OURS = tuple(settings.PREFIX + setting.name for setting in settings.SETTINGS if setting.is_secret)
PREFECTS = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_ENCRYPTION_KEY",
)
VARIABLES = (*OURS, *PREFECTS)
"""The variables that may come from a file."""


def read_into(environment: MutableMapping[str, str]) -> list[str]:
    """Replace each `NAME_FILE` by `NAME` with the content of the file, without white space at its ends.

    Returns a warning for each file that other users of this machine may read. Raises ConfigurationError with all
    problems: a file cannot be read or holds no text, or both variables are set.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    for name in VARIABLES:
        path = environment.pop(name + SUFFIX, "") or _credential(name, environment)
        if not path:
            continue
        file = str(Path(path).expanduser().absolute())
        if environment.get(name):
            problems.append(Problem(name + SUFFIX, f"{name} is set, too", f"one of the two: `unset {name}`"))
            continue
        try:
            environment[name] = secret_file.read(file, name + SUFFIX).strip()  # child processes get the value
        except ConfigurationError as error:
            problems += error.problems
        if warning := secret_file.exposure(file):
            warnings.append(warning)
    if problems:
        raise ConfigurationError(problems)
    return warnings


def credential_name(variable: str) -> str:
    """The name of the credential that holds the value of a variable: database-url."""
    return variable.removeprefix(settings.PREFIX).lower().replace("_", "-")


def _credential(name: str, environment: MutableMapping[str, str]) -> str:
    """The path of the credential of a variable; empty if there is none, or the variable is set."""
    directory = environment.get(CREDENTIALS)
    if not directory or environment.get(name):
        return ""
    path = Path(directory) / credential_name(name)
    try:
        return str(path) if path.exists() else ""
    except OSError:  # reading it says why
        return str(path)
