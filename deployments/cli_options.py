"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the source.", show_default=False)]
Apis = Annotated[
    list[str] | None,
    typer.Option("--api", metavar="API", help="sign-in, itemUsage or audit; may be given again.", show_default=False),
]

SOURCES, DATA, MACHINE, TRY = "Sources", "Data", "This machine", "Try it"
"""The panels of `--help`."""
