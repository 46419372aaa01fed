"""The commands, from the objects that run them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from support.reference import json_outputs
from support.reference.markdown import code, table

from deployments.cli import COMMANDS, app
from deployments.exit_codes import MEANINGS
from deployments.lazy_commands import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.lazy_commands import CommandEntry

SEE = {
    "backfill": ("Backfill", "how-to/backfill.md"),
    "console": ("The console", "how-to/console.md"),
    "coverage": ("Coverage", "how-to/coverage.md"),
    "demo": ("The sandbox", "reference/sandbox.md"),
    "fields": ("Fields", "reference/configuration.md#fields"),
    "health": ("Health events", "reference/health-events.md"),
    "install-service": ("systemd", "install/systemd.md"),
    "names": ("Names", "how-to/names.md"),
    "prune": ("Retention", "how-to/retention.md"),
    "reconcile": ("Reconcile", "how-to/reconcile.md"),
    "sandbox": ("The sandbox", "reference/sandbox.md"),
    "siem": ("Forward to SIEM", "how-to/forward.md"),
    "status": ("Metrics", "reference/metrics.md"),
    "up": ("Security", "explanation/security.md"),
    "verify": ("Proof that nothing was changed", "how-to/proof.md"),
}
"""The page that explains a command, by its path in docs."""


class Command(NamedTuple):
    """A command, or a group of them: its words, its entry in the registry, and the object that runs it."""

    words: tuple[str, ...]
    entry: CommandEntry
    loaded: Any

    @property
    def name(self) -> str:
        return " ".join(self.words)

    @property
    def is_group(self) -> bool:
        return bool(self.entry.entries)


def commands() -> Iterator[Command]:
    """All commands; a group comes before its own."""
    for entry in COMMANDS:
        loaded = app.load(entry.name)
        yield Command((entry.name,), entry, loaded)
        for below in entry.entries:
            yield Command((entry.name, below.name), below, loaded.load(below.name))


def overview() -> str:
    """A table of all commands, each a link to its section."""
    rows = [
        (entry.panel or "", f"[`{entry.name}`](#{_anchor(f'{PROGRAM} {entry.name}')})", entry.help)
        for entry in COMMANDS
    ]
    return table(("", "command", "what it does"), rows)


def exit_codes() -> str:
    return table(("exit code", "meaning"), ((str(number), meaning) for number, meaning in MEANINGS.items()))


def sections() -> str:
    return "\n\n".join(_section(command) for command in commands())


def _section(command: Command) -> str:
    level = "##" if len(command.words) == 1 else "###"
    parts = [f"{level} `{PROGRAM} {command.name}`"]
    if not command.is_group:
        parts.append(f"    {PROGRAM} {' '.join((command.name, *_usage(command.loaded)))}")
    parts.append(command.entry.help if command.is_group else command.loaded.help)
    if rows := [row for parameter in command.loaded.params if (row := _row(parameter))] if not command.is_group else []:
        parts.append(table(("argument or option", "default", "meaning"), rows))
    if outputs := json_outputs.links(command.name):
        parts.append(outputs)
    if command.entry.example:
        parts.append(f"Example:\n\n    {_example(command.entry)}")
    if page := SEE.get(command.name):
        parts.append(f"See [{page[0]}]({_relative(page[1])}).")
    return "\n\n".join(parts)


def _usage(loaded: Any) -> Iterator[str]:
    if any(is_option(parameter) for parameter in loaded.params):
        yield "[OPTIONS]"
    for parameter in loaded.params:
        if not is_option(parameter):
            shown = parameter.metavar or parameter.name.upper()
            yield shown if parameter.required or shown.startswith("[") else f"[{shown}]"


def _row(parameter: Any) -> tuple[str, str, str] | None:
    if not is_option(parameter):
        name = parameter.metavar or parameter.name.upper()
        return code(name), "required" if parameter.required else "", parameter.help
    flags = [*parameter.opts, *parameter.secondary_opts]
    is_flag = isinstance(parameter.default, bool)
    value = "" if is_flag else f" {parameter.metavar or 'NUMBER'}"
    default = (
        "required" if parameter.required else "" if is_flag or parameter.default is None else str(parameter.default)
    )
    if default and default != "required":
        default = code(default)
    return ", ".join(code(flag + value) for flag in flags), default, parameter.help + _range(parameter)


def _range(parameter: Any) -> str:
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if least is None and most is None:
        return ""
    return f" From {least} to {most}." if most is not None else f" At least {least}."


def is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _example(entry: CommandEntry) -> str:
    if "{program}" in entry.example:
        return entry.example.format(program=PROGRAM)
    return f"{PROGRAM} {entry.example}"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")


def _relative(page: str) -> str:
    return page.removeprefix("reference/") if page.startswith("reference/") else f"../{page}"
