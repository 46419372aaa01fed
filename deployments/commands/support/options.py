"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.commands.completion import siem_names, source_names

APIS = ["sign-in", "itemUsage", "audit"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the source.", show_default=False, autocompletion=source_names)
]
Apis = Annotated[
    list[str] | None,
    typer.Option(
        "--api",
        metavar="API",
        help="sign-in, itemUsage or audit; may be given again.",
        show_default=False,
        autocompletion=lambda: APIS,
    ),
]
OneSource = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="One source; all where left out.", show_default=False, autocompletion=source_names
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write into FILE, which only you can read, instead."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")]
Siem = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the SIEM.", show_default=False, autocompletion=siem_names)
]
OneSiem = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="One SIEM; all where left out.", show_default=False, autocompletion=siem_names),
]
OfSource = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Of this source alone; all where left out.",
        show_default=False,
        autocompletion=source_names,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="What was received then or later: 7d, a date.", show_default=False),
]
FieldNames = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of fields.", show_default=False)]
