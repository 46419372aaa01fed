"""`onepassword-source siem add`: add or change one SIEM, from options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import ThirdPartyConfigError
from blocks.secret_references.secret_reader import is_reference
from blocks.siem.configuration import KINDS
from deployments import deferred
from deployments.commands.support.options import From, Json, Siem, parse_time_option
from deployments.commands.support.siem_documents import apply_document, print_applied, warn_of_known_pairs
from deployments.prefect_session import prefect_session
from deployments.terminal_output import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

DETAILS = """
--set takes KEY=VALUE; the value is text or JSON. A secret is not accepted on the command line: --set KEY= has you type
it without echo.
"""


def command(
    name: Siem,
    source: Annotated[list[str], typer.Option("--source", metavar="NAME", help="The source; repeatable.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="splunk, syslog, archive, …; leave it out if you made its block in the UI.",
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A member of its config; repeatable."),
    ] = None,
    since: From = None,
    as_json: Json = False,
) -> None:
    """Add one SIEM from options; without a kind, one whose block you made in the UI."""
    since_ns = parse_time_option("--from", since)
    if kind is None and members:
        raise ThirdPartyConfigError("--set needs --type.", hint="Give the type of the SIEM.", code="usage")
    with prefect_session() as access:
        if kind is not None:
            found = {"name": name, "type": kind, "sources": source, "config": _config(kind, members or [])}
            apply_document({"siem": found}, since, since_ns, access, as_json=as_json)
            return
        adopted = deferred.siems.adopt(name, source, since_ns)
        if access.kind != "temporary":
            deferred.siems.run_new_pairs([adopted])
    print_applied([adopted], as_json=as_json)
    warn_of_known_pairs([adopted], since)


def _config(kind: str, given: Sequence[str]) -> dict[str, Any]:
    """The members of --set. A secret is refused, because `ps` and the shell's history would show it."""
    members = dict(_member(text) for text in given)
    secrets = deferred.configuration.config_fields(kind) if kind in KINDS else {}
    for name, value in members.items():
        if not secrets.get(name) or is_reference(value):
            continue
        if value not in {"", None}:
            raise ThirdPartyConfigError(
                f"{name} is a secret, so it is not accepted on the command line.",
                hint=f"Use --set {name}= to type it without echo, or refer to it, such as"
                f""" --set '{name}={{"file": "/path"}}'.""",
                code="usage",
            )
        members[name] = None
    return members


def _member(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ThirdPartyConfigError(
            f"--set takes KEY=VALUE, not {printable(text)!r}.", hint="Such as url=https://…", code="usage"
        )
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
