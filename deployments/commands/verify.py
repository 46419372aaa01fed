"""`onepassword-source verify`: walk the hash chains, and compare them with checkpoints that were saved elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from blocks.store import source_status
from blocks.store.integrity import checkpoints, verification
from deployments.commands.support.options import Apis, Json, Name
from deployments.commands.support.progress import progress_bar
from deployments.commands.support.usage import usage_error
from deployments.terminal_output import (
    format_rfc3339,
    format_time,
    print_fitting,
    print_indented,
    print_json,
    print_line,
    print_note,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.store.integrity.checkpoints import ChainedSource, Checkpoint, CheckpointResult
    from blocks.store.integrity.verification import ChainReport, Damage
    from deployments.json_records.store import ChainRecord, DamageRecord, VerifyRecord

SOUND, NOT_SOUND = 0, 1
COLUMNS = ("API", "links", "events", "pruned", "before", "newest (UTC)", "verdict")
CHECKPOINTS_SHOWN = 10  # of those that do not match; --json has all of them
SAVE_CHECKPOINTS = (
    "Someone who can write the whole database can rewrite the chains too. Save checkpoints elsewhere "
    "(--print-checkpoint) and compare with them (--checkpoints)."
)


@dataclass(frozen=True)
class VerifyOptions:
    """The options of the command line."""

    name: str
    apis: tuple[str, ...] = ()
    print_checkpoint: bool = False
    checkpoints: str | None = None
    as_json: bool = False


DETAILS = """
It names the first page that does not match. A deleted source can be verified too, by its name or its id.
--checkpoints compares the store with checkpoints that were saved elsewhere.
"""


def command(
    name: Name,
    api: Apis = None,
    print_checkpoint: Annotated[
        bool, typer.Option("--print-checkpoint", help="Only print the current checkpoint: one line to save elsewhere.")
    ] = False,
    saved: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="CHECKPOINTS",
            help="A saved checkpoint, or a file of them; - reads standard input.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Print the current checkpoint, or walk the chains and print what does not match: then the exit code is 1.

    Raises ThirdPartyConfigError for an unknown source or API, and for a checkpoint that cannot be read.
    """
    options = VerifyOptions(name, tuple(api or ()), print_checkpoint, saved, as_json)
    saved_lines = _saved_checkpoints(options)
    with source_status.opened_store() as engine:
        source = checkpoints.find(engine, options.name)
        _check_apis(options.apis, source)
        if options.print_checkpoint:
            _print_checkpoint(engine, source, options.apis)
            return SOUND
        with progress_bar(lambda: verification.count_events(engine, source.id, options.apis)) as advance:
            proofs = verification.verify(engine, source.id, options.apis, checkpoints.links_of(saved_lines), advance)
    checked = checkpoints.compare(saved_lines, source.id, proofs, options.apis)
    if saved_lines and not checked:
        raise usage_error("verify", f"--checkpoints: there is no checkpoint of {', '.join(options.apis)} in it.")
    sound = not any(one.damaged for one in proofs) and all(one.matches for one in checked)
    if options.as_json:
        print_json(_as_json(source, proofs, checked, sound=sound))
    else:
        _show(source, proofs, checked, sound=sound)
    return SOUND if sound else NOT_SOUND


def _saved_checkpoints(options: VerifyOptions) -> list[Checkpoint]:
    """The checkpoints of --checkpoints: a line of JSON, a file, or standard input."""
    given = options.checkpoints
    if given is None:
        return []
    if options.print_checkpoint:
        raise usage_error("verify", "--print-checkpoint verifies nothing: leave out --checkpoints.")
    if given.lstrip().startswith("{"):
        return checkpoints.parse(given)
    try:
        return checkpoints.parse(sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8"))
    except OSError as error:
        raise usage_error(
            "verify",
            f"--checkpoints: {given[:100]} is neither a checkpoint nor a file of checkpoints: {error.strerror}.",
        ) from None
    except UnicodeDecodeError:
        raise usage_error("verify", f"--checkpoints: {given[:100]} is not a text file.") from None


def _check_apis(apis: Sequence[str], source: ChainedSource) -> None:
    for api in apis:
        if api not in source.apis:
            raise usage_error("verify", f"--api takes {', '.join(source.apis)} for this source, not {api!r}.")


def _print_checkpoint(engine: Engine, source: ChainedSource, apis: tuple[str, ...]) -> None:
    if (present := checkpoints.current(engine, source.id, apis)) is not None:
        typer.echo(present.line())


def _show(
    source: ChainedSource, proofs: Sequence[ChainReport], checked: Sequence[CheckpointResult], *, sound: bool
) -> None:
    print_fitting(_table(proofs))
    for one in proofs:
        if one.first is not None:
            _show_damage(one, one.first)
    _show_checked(checked)
    if not sound:
        print_line(f"NOT SOUND: {printable(source.name)} does not match its hash chains.", style="bold red")
        return
    print_line(
        f"Sound: {printable(source.name)} is unchanged since its commits, from the first link to the last.",
        style="bold green",
    )
    if before := sum(one.uncovered for one in proofs):
        print_note(f"{before:,} events were stored before the chains began (column `before`). No link covers them.")
    if not checked:
        print_note(SAVE_CHECKPOINTS)


def _table(proofs: Sequence[ChainReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        text = title in {"API", "newest (UTC)", "verdict"}
        table.add_column(title, justify="left" if text else "right", header_style="dim", no_wrap=True)
    for one in proofs:
        numbers = [f"{number:,}" for number in (one.links, one.events + one.pruned, one.pruned, one.uncovered)]
        verdict, style = ("DAMAGED", "red") if one.damaged else ("sound", "")
        table.add_row(one.api, *numbers, format_time(one.committed_ns)[:16], verdict, style=style)
    return table


def _show_damage(one: ChainReport, first: Damage) -> None:
    more = f"; {one.damaged - 1:,} more after it" if one.damaged > 1 else ""
    print_line(f"{one.api}: link {first.link:,} is damaged ({first.kind}){more}.", style="red")
    print_indented(printable(first.sentence), 4)
    if first.committed_ns is not None:
        print_indented(f"It was committed {format_time(first.committed_ns)}.", 4)
    if first.first_id is not None:
        times = (
            f", of {format_time(first.first_ns)} to {format_time(first.last_ns)}" if first.first_ns is not None else ""
        )
        print_indented(f"Its events have ids from {first.first_id:,} to {first.last_id:,}{times}.", 4)


def _show_checked(checked: Sequence[CheckpointResult]) -> None:
    wrong = [one for one in checked if not one.matches]
    for one in wrong[:CHECKPOINTS_SHOWN]:
        print_line(
            f"{printable(one.api)}: checkpoint of {printable(one.time)[:19]}, link {one.link:,} ({one.verdict}).",
            style="red",
        )
        print_indented(printable(one.sentence), 4)
    if len(wrong) > CHECKPOINTS_SHOWN:
        print_line(f"… and {len(wrong) - CHECKPOINTS_SHOWN:,} more.")
    if checked:
        print_line(f"The store matches {len(checked) - len(wrong):,} of {len(checked):,} checkpoints.")


def _as_json(
    source: ChainedSource, proofs: Sequence[ChainReport], checked: Sequence[CheckpointResult], *, sound: bool
) -> VerifyRecord:
    return {
        "source": source.name,
        "source_id": source.id,
        "sound": sound,
        "apis": [_api_as_json(one) for one in proofs],
        "checkpoints": [
            {"time": one.time, "api": one.api, "link": one.link, "verdict": one.verdict, "description": one.sentence}
            for one in checked
        ],
    }


def _api_as_json(one: ChainReport) -> ChainRecord:
    return {
        "api": one.api,
        "sound": not one.damaged,
        "links": one.links,
        "events": one.events + one.pruned,
        "pruned": one.pruned,
        "unlinked": one.uncovered,
        "committed": format_rfc3339(one.committed_ns),
        "damaged": one.damaged,
        "first_damaged": None if one.first is None else _damage_as_json(one.first),
    }


def _damage_as_json(first: Damage) -> DamageRecord:
    return {
        "link": first.link,
        "kind": first.kind,
        "description": first.sentence,
        "committed": format_rfc3339(first.committed_ns),
        "first_id": first.first_id,
        "last_id": first.last_id,
        "first_time": format_rfc3339(first.first_ns),
        "last_time": format_rfc3339(first.last_ns),
    }
