"""`onepassword-source names import`: store the names of a file. It needs no Prefect."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.config.name_file import KINDS, parse_names, read_bounded
from blocks.problems import ConfigurationError, Problem
from blocks.store import names
from deployments.commands.support.field_table import opened_or_created_store
from deployments.commands.support.options import Json
from deployments.commands.support.usage import invalid_value
from deployments.terminal_output import print_json, print_line, print_note

if TYPE_CHECKING:
    from blocks.config.name_file import NameFile
    from blocks.store.names import ImportCounts
    from deployments.json_records.events import ImportRecord

DETAILS = """
The file is what `op vault list`, `op item list`, `op user list` or `op group list` print with --format json, what
Connect or an SDK returns, or CSV with the columns uuid, kind, name and vault_uuid. Importing again updates what has
changed.
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON of `op … list`, Connect or an SDK, or CSV; - reads standard input."),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help=f"What the entries are, if the file does not show it: {', '.join(KINDS)}.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Store the names, and print how many are new. Nothing is stored from a file with a problem."""
    if kind is not None and kind not in KINDS:
        raise invalid_value("--kind", kind, KINDS)
    found = parse_names(_read(file), kind)
    with opened_or_created_store() as engine:
        counts = names.save(engine, found.objects)
    if as_json:
        print_json(_as_json(found, counts))
        return
    print_line(f"{_kinds(found)}: {counts.added:,} added, {counts.changed:,} changed, {counts.kept:,} kept.")
    if found.unnamed:
        print_note(f"{found.unnamed:,} of the entries have no name, so nothing is stored of them.")
    print_note("Names are personal data. `onepassword-source names remove --all` removes them.")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return read_bounded(sys.stdin.buffer, "standard input")
    try:
        with file.open("rb") as opened:
            return read_bounded(opened, str(file))
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or type(error).__name__}"
        raise ConfigurationError([Problem(str(file), problem, "a file that you may read")]) from None


def _kinds(found: NameFile) -> str:
    """Such as "12 vaults, 3 groups"."""
    counts = Counter(one.kind for one in found.objects)
    named = [f"{count:,} {kind.replace('_', ' ')}{'' if count == 1 else 's'}" for kind, count in counts.items()]
    return ", ".join(named) or "No names"


def _as_json(found: NameFile, counts: ImportCounts) -> ImportRecord:
    return {"added": counts.added, "changed": counts.changed, "kept": counts.kept, "unnamed": found.unnamed}
