"""Applying a document of SIEMs, for `siem add` and for `apply` with a file of SIEMs."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.secret_references.secret_reader import SecretReader
from deployments import deferred
from deployments.commands.support.progress import gather_with_bar
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, print_warning, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.configuration import SiemConfig
    from deployments.json_records.forwarding import AppliedSiemRecord
    from deployments.prefect_api.server_access import PrefectAccess
    from deployments.siems import AppliedSiem

NOT_FOR_SIEM = (
    "Forwarding is not enabled for {}, so none of its events are sent to SIEMs. Set its field _siemForward to true."
)


def apply_siems(document: object, *, as_json: bool = False) -> None:
    """Apply a document of SIEMs, and print what changed. Nothing is stored from a document with a problem."""
    with prefect_session() as access:
        apply_document(document, None, None, access, as_json=as_json)


def apply_document(
    document: object, since: str | None, since_ns: int | None, access: PrefectAccess, *, as_json: bool
) -> None:
    """The same within a `prefect_session`. `since_ns`: a new pair gets the events received from then on."""
    secrets = SecretReader()
    configs = [_with_secrets(config) for config in deferred.configuration.parse_siems(document, secrets=secrets)]
    for warning in secrets.warnings:
        print_warning(warning)
    pairs = sum(len(config.sources) for config in configs)
    done = gather_with_bar(
        "Applying", deferred.siems.apply_all(configs, since_ns), pairs, step=lambda one: isinstance(one, str)
    )
    applied = [one for one in done if not isinstance(one, str)]
    print_applied(applied, as_json=as_json)
    warn_of_known_pairs(applied, since)
    if access.kind != "temporary":
        deferred.siems.run_new_pairs(applied)
    elif not as_json:
        print_note("Events are forwarded while this runs: onepassword-source up")


def print_applied(applied: Sequence[AppliedSiem], *, as_json: bool) -> None:
    if as_json:
        print_json([_as_json(one) for one in applied])
        return
    for one in applied:
        _print_pairs(one)


def warn_of_known_pairs(applied: Sequence[AppliedSiem], since: str | None) -> None:
    for one in applied if since else ():
        for source in (name for name, change in one.sources.items() if change != "created"):
            again = ("--source", source, "--from", since or "")
            print_warning(
                f"--from applies only to new pairs. {printable(source)} to {printable(one.name)} continues from its "
                "position. "
                f"To send events again: {command_line('siem replay', one.name, options=again)}"
            )


def _with_secrets(config: SiemConfig) -> SiemConfig:
    """The configuration with its secrets. Missing ones are typed on the terminal, without echo."""
    if not config.missing_secrets:
        return config
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"There is no {' and no '.join(config.missing_secrets)} for {config.name!r}.",
            hint='Put it into the file, or refer to it: {"file": "/path"}, {"env": "NAME"} or op://vault/item/field.',
            code="configuration",
        )
    given = {
        member: typer.prompt(f"{member} of {printable(config.name)}", hide_input=True, err=True).strip()
        for member in config.missing_secrets
    }
    return replace(config, members={**config.members, **given}, missing_secrets=())


def _as_json(one: AppliedSiem) -> AppliedSiemRecord:
    return {
        "siem": one.name,
        "type": one.kind,
        "change": one.change,
        "sources": [{"source": source, "change": change} for source, change in one.sources.items()],
        "sources_left": list(one.left),
        "sources_not_for_siem": list(one.not_for_siem),
    }


def _print_pairs(one: AppliedSiem) -> None:
    print_line(f"{printable(one.name)}: {one.change} ({one.kind}).")
    for source, change in one.sources.items():
        print_line(f"  {printable(source)} to {printable(one.name)}: {change}.")
    for source in one.not_for_siem:
        print_warning(NOT_FOR_SIEM.format(printable(source)))
    for source in one.left:
        print_warning(
            f"{printable(one.name)} still gets the events of {printable(source)}, which this file does not name. "
            f"Stop that with: {command_line('siem remove', one.name, options=('--source', source))}"
        )
