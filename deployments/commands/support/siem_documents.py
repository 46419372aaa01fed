"""A document of SIEMs, applied: what `siem add` and `apply` with a file of SIEMs share."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from deployments.commands.support import deferred
from deployments.commands.support.progress import gather_with_bar
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, print_warning, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.configuration import SiemConfig
    from deployments.prefect_api.server_access import PrefectAccess
    from deployments.siems import AppliedSiem

NOT_FOR_SIEM = (
    "The events of {} are not meant for a SIEM: set its field _siemForward to true. Until then nothing is sent of it."
)


def apply_siems(document: object, *, as_json: bool = False) -> None:
    """Apply a document of SIEMs, and tell what changed. Nothing is stored from one with a fault."""
    with prefect_session() as access:
        apply_document(document, None, None, access, as_json=as_json)


def apply_document(
    document: object, since: str | None, since_ns: int | None, access: PrefectAccess, *, as_json: bool
) -> None:
    """The same where Prefect is there already. `since_ns`: from when on a new pair gets what was received."""
    configs = [_with_secrets(config) for config in deferred.configuration.parse_siems(document)]
    pairs = sum(len(config.sources) for config in configs)
    done = gather_with_bar(
        "Applying", deferred.siems.apply_all(configs, since_ns), pairs, step=lambda one: isinstance(one, str)
    )
    applied = [one for one in done if not isinstance(one, str)]
    print_applied(applied, as_json=as_json)
    warn_of_known_pairs(applied, since)
    if not as_json and access.kind == "temporary":
        print_note("Events are forwarded while it runs: onepassword-source up")


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
                f"--from is for what is new: {printable(source)} to {printable(one.name)} goes on from where it is. "
                f"To send again: {command_line('siem replay', one.name, options=again)}"
            )


def _with_secrets(config: SiemConfig) -> SiemConfig:
    """The configuration with its secrets: asked for on a terminal, without echo, where nothing gave them."""
    if not config.missing_secrets:
        return config
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"There is no {' and no '.join(config.missing_secrets)} for {config.name!r}.",
            hint='Put it into the file, or name the environment variable that holds it: {"env": "NAME"}.',
            code="configuration",
        )
    given = {
        member: typer.prompt(f"{member} of {printable(config.name)}", hide_input=True, err=True).strip()
        for member in config.missing_secrets
    }
    return replace(config, members={**config.members, **given}, missing_secrets=())


def _as_json(one: AppliedSiem) -> dict[str, Any]:
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
            f"{printable(one.name)} still gets the events of {printable(source)}, which is not named here. "
            f"End that with: {command_line('siem remove', one.name, options=('--source', source))}"
        )
