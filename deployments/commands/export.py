"""`onepassword-source export`: the JSON that `apply` reads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from blocks.configuration import to_json
from deployments.commands.events import file_for
from deployments.commands.prefect_server import prefect
from deployments.commands.present import note, warn

if TYPE_CHECKING:
    from pathlib import Path


def run(name: str, *, with_token: bool, output: Path | None) -> None:
    """Write the configuration, with the token masked unless it is asked for."""
    from deployments import lifecycle  # noqa: PLC0415 - 0.5 s

    # In full, since `prefect` leaves the working directory.
    path = output.absolute() if output is not None and str(output) != "-" else None
    with prefect():
        text = to_json(lifecycle.locate(name).valid_block().config(), mask=not with_token)
    if path is None:
        if with_token and sys.stdout.isatty():
            warn("The token stands below, for whoever sees this screen.")
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        sys.stdout.write(text)
        return
    with file_for(path) as file:
        file.write(text)
    note(f"Written to {output}. {'It holds the token.' if with_token else 'The token is masked in it.'}")
