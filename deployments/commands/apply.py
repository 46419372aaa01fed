"""`onepassword-source apply`: create or update sources or SIEMs from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blocks import json_file, settings
from blocks.command_line import command_line
from blocks.config.source_file import EXPECTED, parse_sources, read_file, with_token
from blocks.errors import ThirdPartyConfigError
from blocks.secret_references.secret_reader import SecretReader
from blocks.siem.configuration import holds_siems
from blocks.store import fields
from deployments import deferred
from deployments.commands.support.field_table import opened_or_created_store
from deployments.commands.support.options import Json
from deployments.commands.support.progress import gather_with_bar
from deployments.commands.support.siem_documents import apply_siems
from deployments.entry_point import token_from_environment
from deployments.exit_codes import DONE, IN_ERROR
from deployments.prefect_session import prefect_session
from deployments.terminal_output import (
    print_json,
    print_line,
    print_note,
    print_warning,
    printable,
    with_spinner,
)
from deployments.token_rules import TokenRules

if TYPE_CHECKING:
    from blocks.config.source_config import SourceConfig
    from blocks.store.fields import DroppedField
    from deployments.json_records.sources import AppliedSourceRecord
    from deployments.sources import AppliedSource

NAMED_RUNS_MAX = 5
"""Up to this many started runs are named one by one."""

DETAILS = """
A file holds one source or SIEM, or several. An unchanged source is left alone. Where `up` runs, a new or changed source
is collected at once, several of them one a second; the errors of a changed source are cleared.

Each new token is checked by introspection first: its region, account, scopes and expiry. A source whose token is
refused stays as it is; the others are applied.
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The JSON configuration; - reads standard input.", show_default=False),
    ],
    new_account: Annotated[
        bool, typer.Option("--new-account", help="Accept a token of another account than that of the stored events.")
    ] = False,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Accept a token that cannot be checked because 1Password is unreachable."),
    ] = False,
    replace_token: Annotated[
        bool, typer.Option("--replace-token", help="Accept a token that was issued before the current one.")
    ] = False,
    add_fields: Annotated[
        bool, typer.Option("--add-fields", help="Add the sources' fields that are not in the table of fields yet.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Apply a file of sources or of SIEMs, and print what to do next. Nothing is stored from a file with a problem.

    Returns 1 if the token of a source was refused; the other sources are applied.
    """
    data, token = _read(file), token_from_environment()
    if holds_siems(document := json_file.decode(data, EXPECTED)):
        apply_siems(document, as_json=as_json)
        return DONE
    wanted = TokenRules(new_account=new_account, unchecked=unchecked, replace_token=replace_token)
    kind, applied = _apply_sources(data, token, wanted, add_fields=add_fields, as_json=as_json)
    refused = sum(one.change == "refused" for one in applied)
    if refused and not as_json and len(applied) > 1:
        print_line(f"{refused:,} of {len(applied):,} sources were refused; the others are applied.")
    if refused < len(applied):
        if kind == "temporary":
            print_note("Start collecting every five minutes with: onepassword-source up")
        else:
            print_note("Each is collected every five minutes while a worker runs.")
    return IN_ERROR if refused else DONE


def apply(file: Path, *, token: str | None) -> str:
    """Apply a file of sources, and print what changed. Returns the kind of the Prefect server."""
    return _apply_sources(_read(file), token)[0]


def _apply_sources(
    data: bytes,
    token: str | None,
    rules: TokenRules | None = None,
    *,
    add_fields: bool = False,
    as_json: bool = False,
) -> tuple[str, list[AppliedSource]]:
    secrets = SecretReader()
    parsed = parse_sources(data, allowed_hosts=settings.allowed_hosts(), token=token, secrets=secrets)
    configs = [_with_token(config) for config in parsed]
    for warning in secrets.warnings:
        print_warning(warning)
    for config in configs:
        for warning in config.warnings:
            print_warning(f"{config.name}: {warning}")
    new_fields = _add_fields(configs) if add_fields else ()
    with prefect_session() as access:
        applied = _apply(configs, rules or TokenRules())
        runs = {} if access.kind == "temporary" else deferred.source_apply.start_runs(applied)
    dropped = _dropped_fields(configs)
    _warn_of_tokens(configs, applied)
    if as_json:
        print_json([_as_json(one, runs.get(one.name), dropped[one.name]) for one in applied])
        return access.kind, applied
    if new_fields:
        print_line(f"Fields added: {', '.join(new_fields)}.")
    for one in applied:
        if one.change == "refused":
            print_line(f"{printable(one.name)}: refused. {printable(one.problem)}", style="red")
            continue
        print_line(f"{printable(one.name)}: {one.change} ({', '.join(one.apis)}).")
        _print_follow_up(one, runs.get(one.name) if len(runs) <= NAMED_RUNS_MAX else None)
    if len(runs) > NAMED_RUNS_MAX:
        cleared = " The errors of what has changed are cleared." if any(one.restarted for one in applied) else ""
        print_note(f"{len(runs)} runs were started, one a second.{cleared}")
    return access.kind, applied


def _warn_of_tokens(configs: list[SourceConfig], applied: list[AppliedSource]) -> None:
    """Print the warnings from introspection that the configuration did not raise itself."""
    for config, one in zip(configs, applied, strict=True):
        for warning in one.warnings:
            if warning not in config.warnings:
                print_warning(f"{one.name}: {warning}")


def _add_fields(configs: list[SourceConfig]) -> tuple[str, ...]:
    """Add the sources' fields to the table. Raises ThirdPartyConfigError, and adds none, if a name is invalid."""
    with opened_or_created_store() as engine:
        return fields.create(engine, (name for config in configs for name in config.fields))


def _dropped_fields(configs: list[SourceConfig]) -> dict[str, tuple[DroppedField, ...]]:
    """The dropped fields of each source. Prints a warning for each."""
    with opened_or_created_store() as engine:
        dropped = {config.name: fields.dropped_fields(engine, config.fields) for config in configs}
    for name, of_source in dropped.items():
        for one in of_source:
            print_warning(f"{name}: {one.sentence}")
    return dropped


def _as_json(applied: AppliedSource, run: str | None, dropped: tuple[DroppedField, ...]) -> AppliedSourceRecord:
    return {
        "source": applied.name,
        "change": applied.change,
        "problem": applied.problem,
        "apis": list(applied.apis),
        "restarted": applied.restarted,
        "stopped": applied.stopped,
        "flow_run_id": run,
        "dropped_fields": [one.name for one in dropped],
    }


def _print_follow_up(applied: AppliedSource, run: str | None) -> None:
    if run:
        cleared = "Its errors are cleared, and the" if applied.restarted else "The"
        print_note(f"{cleared} run 'collect {applied.name}' was started ({run}).")
    if applied.stopped:
        print_note(f"Its schedule is stopped; resume it with: {command_line('start', applied.name)}")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    data, warning = read_file(file)
    if warning:
        print_warning(warning)
    return data


def _with_token(config: SourceConfig) -> SourceConfig:
    """The configuration with its token. A missing token is typed on the terminal, without echo."""
    if config.api_token is not None:
        return config
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"There is no token for {config.name!r}.",
            hint="Put it into the file as api_token, as it is or as a reference; or set ONEPASSWORD_SOURCE_API_TOKEN.",
            code="configuration",
        )
    token = typer.prompt(f"API token of {printable(config.name)}", hide_input=True, err=True)
    return with_token(config, token.strip(), allowed_hosts=settings.allowed_hosts())


def _apply(configs: list[SourceConfig], rules: TokenRules) -> list[AppliedSource]:
    for warning in with_spinner("Applying…", deferred.source_apply.prepare):
        print_warning(warning)
    return gather_with_bar("Applying", deferred.sources.apply_all(configs, rules), len(configs))
