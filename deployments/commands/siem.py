"""`onepassword-source siem add`, `pause`, `resume`, `replay`, `remove`, and `apply` with a file of SIEMs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.siem.kinds import KINDS
from deployments.commands.moments import moment_of
from deployments.commands.prefect_server import prefect
from deployments.commands.present import confirm, note, plain, say, say_json, warn
from deployments.commands.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.siem_config import SiemConfig
    from deployments.prefect_access import Access
    from deployments.siems import Applied

NOT_FOR_SIEM = (
    "The events of {} are not meant for a SIEM: set its field _siemForward to true. Until then nothing is sent of it."
)


def add(
    name: str, kind: str | None, sources: Sequence[str], members: Sequence[str], since: str | None, *, as_json: bool
) -> None:
    """Add one SIEM from options; without a kind, one whose block was made in the UI."""
    if kind is not None:
        _add_new(name, kind, sources, members, since, as_json=as_json)
        return
    if members:
        raise ThirdPartyConfigError("--set wants --type too.", hint="Give the type of the SIEM.", code="usage")
    since_ns = moment_of("--from", since)
    with prefect():
        from deployments import siems  # noqa: PLC0415 - imports Prefect

        adopted = siems.adopt(name, sources, since_ns)
    _say_all([adopted], as_json=as_json)
    _tell_passed_over([adopted], since)


def _add_new(
    name: str, kind: str, sources: Sequence[str], members: Sequence[str], since: str | None, *, as_json: bool
) -> None:
    since_ns = moment_of("--from", since)
    with prefect() as access:
        found = {"name": name, "type": kind, "sources": list(sources), "config": _config(kind, members)}
        _apply({"siem": found}, since, since_ns, access, as_json=as_json)


def apply(document: object, since: str | None = None, *, as_json: bool = False) -> None:
    """Apply a document of SIEMs, and tell what changed. Nothing is stored from one with a fault."""
    since_ns = moment_of("--from", since)
    with prefect() as access:
        _apply(document, since, since_ns, access, as_json=as_json)


def _apply(document: object, since: str | None, since_ns: int | None, access: Access, *, as_json: bool) -> None:
    from blocks.siem.configuration import parse_siems  # noqa: PLC0415 - imports Prefect
    from deployments import siems  # noqa: PLC0415

    configs = [_with_secrets(config) for config in parse_siems(document)]
    pairs = sum(len(config.sources) for config in configs)
    done = counted("Applying", siems.apply_all(configs, since_ns), pairs, step=lambda one: isinstance(one, str))
    applied = [one for one in done if not isinstance(one, str)]
    _say_all(applied, as_json=as_json)
    _tell_passed_over(applied, since)
    if not as_json and access.kind == "temporary":
        note("Events are forwarded while it runs: onepassword-source up")


def set_paused(name: str, source: str | None, *, paused: bool) -> None:
    """Pause or resume the pairs of a SIEM, and say which were so already."""
    with prefect():
        from blocks.store import forwards  # noqa: PLC0415
        from deployments import forwarding, siems  # noqa: PLC0415
        from deployments.sources import open_default_store  # noqa: PLC0415

        engine = open_default_store()
        for pair in forwards.require(engine, name, source):
            changed = siems.set_paused(engine, pair, paused=paused)
            was = "" if changed else "was "
            say(f"{plain(pair.source)} to {plain(pair.siem)}: {was}{'paused' if paused else 'resumed'}.")
            if not paused:
                forwarding.run_now(pair.source, pair.siem)


def replay(name: str, source: str | None, since: str | None, *, refused: bool) -> None:
    """Let a SIEM get again what was received since a time, or what it refused."""
    if (since is None) is not refused:
        raise ThirdPartyConfigError(
            "Say what is to be sent again.",
            hint="Give --from TIME, or --refused for what the SIEM has refused.",
            code="usage",
        )
    since_ns = moment_of("--from", since)
    with prefect():
        from blocks.store import forwards  # noqa: PLC0415
        from blocks.store import refused as turned  # noqa: PLC0415
        from deployments import forwarding  # noqa: PLC0415
        from deployments.sources import open_default_store  # noqa: PLC0415

        engine = open_default_store()
        for pair in forwards.require(engine, name, source):
            again = turned.replay(engine, pair) if since_ns is None else forwards.replay(engine, pair, since_ns)
            events = "1 event is" if again == 1 else f"{again:,} events are"
            say(f"{plain(pair.source)} to {plain(pair.siem)}: {events} sent again.")
            if again:
                forwarding.run_now(pair.source, pair.siem)


def remove(name: str, source: str | None, *, yes: bool) -> None:
    """Remove the pairs of a SIEM, after a question."""
    with prefect():
        from blocks.store import forwards  # noqa: PLC0415
        from deployments import siems  # noqa: PLC0415
        from deployments.sources import open_default_store  # noqa: PLC0415

        engine = open_default_store()
        pairs = forwards.require(engine, name, source, with_deleted=True)
        if not yes:
            of = ", ".join(plain(pair.source) for pair in pairs)
            confirm(f"Remove {plain(name)} for {of}? How far it is will be forgotten", "Nothing was removed.")
        for pair in pairs:
            gone = siems.remove(engine, pair)
            more = ", with its secrets" if gone else ""
            say(f"{plain(pair.source)} to {plain(pair.siem)}: removed{more}.")


def _config(kind: str, given: Sequence[str]) -> dict[str, Any]:
    """The members of --set. A secret does not stand on a command line, where `ps` and the shell's history show it."""
    from blocks.siem.configuration import members_of  # noqa: PLC0415 - imports Prefect

    members = dict(_member(text) for text in given)
    secrets = members_of(kind) if kind in KINDS else {}
    for name, value in members.items():
        if not secrets.get(name) or isinstance(value, dict):
            continue
        if value not in {"", None}:
            raise ThirdPartyConfigError(
                f"{name} is a secret: it is not taken from the command line.",
                hint=f'Say --set {name}= to be asked for it, or --set \'{name}={{"env": "NAME"}}\' for a variable.',
                code="usage",
            )
        members[name] = None
    return members


def _member(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ThirdPartyConfigError(
            f"--set takes KEY=VALUE, not {plain(text)!r}.", hint="Such as url=https://…", code="usage"
        )
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _with_secrets(config: SiemConfig) -> SiemConfig:
    """The configuration with its secrets: asked for on a terminal, without echo, where nothing gave them."""
    if not config.asked:
        return config
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"There is no {' and no '.join(config.asked)} for {config.name!r}.",
            hint='Put it into the file, or name the environment variable that holds it: {"env": "NAME"}.',
            code="configuration",
        )
    given = {
        member: typer.prompt(f"{member} of {plain(config.name)}", hide_input=True, err=True).strip()
        for member in config.asked
    }
    return replace(config, members={**config.members, **given}, asked=())


def _tell_passed_over(applied: Sequence[Applied], since: str | None) -> None:
    for one in applied if since else ():
        for source in (name for name, change in one.sources.items() if change != "created"):
            again = ("--source", source, "--from", since or "")
            warn(
                f"--from is for what is new: {plain(source)} to {plain(one.name)} goes on from where it is. "
                f"To send again: {command_line('siem replay', one.name, options=again)}"
            )


def _say_all(applied: Sequence[Applied], *, as_json: bool) -> None:
    if as_json:
        say_json([asdict(one) for one in applied])
        return
    for one in applied:
        _tell(one)


def _tell(one: Applied) -> None:
    say(f"{plain(one.name)}: {one.change} ({one.kind}).")
    for source, change in one.sources.items():
        say(f"  {plain(source)} to {plain(one.name)}: {change}.")
    for source in one.not_for_siem:
        warn(NOT_FOR_SIEM.format(plain(source)))
    for source in one.left:
        warn(
            f"{plain(one.name)} still gets the events of {plain(source)}, which is not named here. "
            f"End that with: {command_line('siem remove', one.name, options=('--source', source))}"
        )
