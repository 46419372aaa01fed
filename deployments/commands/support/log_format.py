"""The option --log-format of the commands that run as services."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from blocks import settings
from deployments.commands.support.usage import invalid_value

LogFormat = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        metavar="text|json",
        help="text for people, or json: one object per line on standard output, without secrets.",
        show_default=False,
    ),
]


def chosen_log_format(given: str | None) -> str:
    """The format of the option, or of the setting. Child processes get it, too. Raises ThirdPartyConfigError."""
    if given is None:
        return settings.log_format()
    if given not in settings.LOG_FORMATS:
        raise invalid_value("--log-format", given, settings.LOG_FORMATS)
    os.environ[settings.PREFIX + "LOG_FORMAT"] = given
    return given
