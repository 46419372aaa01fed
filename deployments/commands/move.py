"""`onepassword-source move`: the store into another database, such as PostgreSQL."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks import settings
from blocks.errors import FirstPartyGenericError, SourceError, ThirdPartyConfigError
from blocks.store import source_status
from blocks.store.engine import opened_engine, sqlite_path
from deployments import deferred
from deployments.commands.support.options import Json
from deployments.commands.support.progress import progress_bar
from deployments.exit_codes import DONE, IN_ERROR
from deployments.prefect_api import restore_marker, server_access, server_secrets, up_lock
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_indented, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from blocks.store.transfer.moving import Move
DETAILS = """The store that is copied stays as it is, and is locked against every writer meanwhile. The number of rows
of each table is compared, and the hash chains of the copy are verified. Only then is the copy a store. An interrupted
move is continued by the same command."""


def command(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="An empty database: postgresql://… or sqlite:///…; - reads the URL from standard input.",
            show_default=False,
        ),
    ],
    accept_damage: Annotated[
        bool,
        typer.Option("--accept-damage", help="Use the copy of a store that `verify` finds damaged itself."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Copy the store and prove the copy. Exit code 1 if it does not match; then the copy is not used.

    Raises FirstPartyGenericError while `up` or a run works with the store, ThirdPartyConfigError if the target is not
    empty.
    """
    url = typer.get_text_stream("stdin").readline().strip() if to == "-" else to
    _require_quiet()
    before = settings.database_url()
    if url == before:
        raise ThirdPartyConfigError("The target is the store itself.", hint="Name an empty database.", code="usage")
    with (
        source_status.opened_store() as engine,
        opened_engine(url) as target,
        progress_bar(lambda: deferred.moving.count_rows(engine)) as advance,
    ):
        moved = deferred.moving.move(engine, target, advance, accept_damage=accept_damage)
    if as_json:
        print_json(_as_json(moved))
    else:
        _show(moved, before, url, is_used=moved.sound or accept_damage)
    return DONE if moved.sound else IN_ERROR


def _require_quiet() -> None:
    restore_marker.require_complete()
    if up_lock.is_held():
        raise FirstPartyGenericError(
            "`up` is running, so the store cannot be moved. Nothing was changed.",
            hint="Stop it with Ctrl-C, and the workers of other machines. Events that happen meanwhile are collected "
            "after the move: 1Password keeps them.",
            code="transfer-claims",
        )


def _show(moved: Move, before: str, after: str, *, is_used: bool) -> None:
    if moved.continued:
        print_line(f"Continued: {moved.continued:,} rows had been copied before.")
    print_line(f"Copied {moved.rows['events']:,} events, and {sum(moved.rows.values()):,} rows in all.")
    for one in moved.proofs:
        if one.sound:
            print_line(f"Sound: {printable(one.source)}, {one.events:,} events.", style="green")
        else:
            print_line(f"NOT SOUND: {printable(one.source)} does not match its hash chains.", style="bold red")
            for problem in one.problems:
                print_indented(printable(problem), 4)
    if not is_used:
        print_note(
            "The copy is not used, and the store is as it was. `onepassword-source verify NAME` says whether the store "
            "itself is damaged. If it is, and you want to go on with it: run the same command with --accept-damage."
        )
        return
    shown = "sqlite:///…" if sqlite_path(after) else "postgresql://…"
    print_line(f"Set this for every process from now on: {settings.PREFIX}DATABASE_URL={shown} (the URL of --to)")
    for name in _blocks():
        print_line(f"Change the URL in the block {printable(name)} too, in the Prefect UI under Blocks.")
    if (path := sqlite_path(before)) is not None:
        print_note(
            f"The old store {printable(path)} is unchanged. Rename it, so that nothing collects into it by mistake."
        )


def _blocks() -> list[str]:
    """The blocks that hold the URL of a store. A Prefect server that does not answer has no say in the result."""
    if server_access.external_url() is None and not server_secrets.secrets_path().exists():
        return []  # Prefect was never used here
    with suppress(SourceError, RuntimeError), prefect_session():
        return deferred.store_blocks.names()
    return []


def _as_json(moved: Move) -> dict[str, Any]:
    return {
        "events": moved.rows["events"],
        "rows": sum(moved.rows.values()),
        "continued": moved.continued,
        "sound": moved.sound,
        "sources": [
            {"source": one.source, "events": one.events, "sound": one.sound, "problems": list(one.problems)}
            for one in moved.proofs
        ],
    }
