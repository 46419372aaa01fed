"""A group of commands that imports the file of a command only when that command is called.

This is Click's pattern for lazy commands. Help and completion of the group need only the registry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = "onepassword-source"
PACKAGE = "deployments.commands"
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
RAW_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


@dataclass(frozen=True)
class CommandEntry:
    """A command, or a group of commands if it has `entries`. Its file is `commands/[GROUP/]NAME.py`.

    `module` is the name of that file, if Python does not allow the command's own name (`import`). The file may have
    `DETAILS`: paragraphs that follow `help` in the command's own help and in docs/reference/commands.md.
    `exits` has the causes of the exit codes, other than 0 and 2, that a script should know.
    `former_names` and `former_flags` (old flag to new flag) still work, so that scripts keep running. Help and
    completion do not show them. `after_help` stands below the example; each paragraph of it is one line.
    """

    name: str
    help: str
    example: str = ""
    panel: str | None = None
    entries: tuple[CommandEntry, ...] = ()
    passes_arguments: bool = False
    former_names: tuple[str, ...] = ()
    former_flags: Mapping[str, str] = field(default_factory=dict)
    module: str = ""
    after_help: str = ""
    exits: Mapping[int, str] = field(default_factory=dict)

    @property
    def exit_sentence(self) -> str:
        """`Exit code 1 if …, 3 if ….`; empty without such codes."""
        causes = ", ".join(f"{code} if {cause}" for code, cause in self.exits.items())
        return f"Exit code {causes}." if causes else ""


class LazyGroup(TyperGroup):
    """`commands` has placeholders for help and completion. `resolve_command` imports the command's own file."""

    def __init__(self, *, entries: Sequence[CommandEntry] = (), package: str = PACKAGE, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.set_entries(entries, package)

    def set_entries(self, entries: Sequence[CommandEntry], package: str) -> None:
        """Set the commands of the group from the registry."""
        self._entries, self._package = {entry.name: entry for entry in entries}, package
        self._former_names = {old: entry.name for entry in entries for old in entry.former_names}
        self.commands = {entry.name: self._placeholder(entry) for entry in entries}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find and import the command that the arguments begin with."""
        present = [self._former_names.get(args[0], args[0]), *args[1:]]
        name, command, rest = super().resolve_command(ctx, present)
        if command is None:
            return name, None, rest
        return name, self.load(command.name or ""), _with_present_flags(rest, self._entries[command.name or ""])

    def load(self, name: str) -> Any:
        """Import the command, with its parameters."""
        command = self.commands[name]
        return command if isinstance(command, LazyGroup) else _load_command(self._entries[name], self._package)

    def _placeholder(self, entry: CommandEntry) -> Any:
        if not entry.entries:
            return TyperCommand(entry.name, help=entry.help, rich_help_panel=entry.panel, rich_markup_mode="rich")
        return LazyGroup(
            name=entry.name,
            help=entry.help,
            rich_help_panel=entry.panel,
            rich_markup_mode="rich",
            no_args_is_help=False,
            entries=entry.entries,
            package=f"{self._package}.{entry.name}",
        )


def build_app(text: str, entries: Sequence[CommandEntry]) -> LazyGroup:
    """The program: its global options and the commands of the registry."""
    app = typer.Typer(
        name=PROGRAM,
        help=text,
        cls=LazyGroup,
        rich_markup_mode="rich",
        context_settings=HELP,
        epilog=f"Start with: {PROGRAM} demo",
    )
    app.callback()(_global_options)
    group = typer.main.get_command(app)
    if not isinstance(group, LazyGroup):
        raise TypeError
    group.set_entries(entries, PACKAGE)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


def _global_options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show Prefect's log, and tracebacks. Works with every command.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Only the help of --debug: `entry_point` removes the flag from the arguments, at any position."""


def _with_present_flags(arguments: list[str], entry: CommandEntry) -> list[str]:
    """Replace former flags (`--old`, `--old=VALUE`) up to a `--`; what follows are names."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    present = []
    for argument in arguments[:end]:
        flag, sign, value = argument.partition("=")
        present.append(f"{entry.former_flags.get(flag, flag)}{sign}{value}")
    return present + arguments[end:]


def _load_command(entry: CommandEntry, package: str) -> Any:
    module = import_module(f"{package}.{entry.module or entry.name}")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(
        entry.name,
        help=_full_help(entry, getattr(module, "DETAILS", "")),
        epilog=_epilog(entry),
        rich_help_panel=entry.panel,
        add_help_option=not entry.passes_arguments,
        context_settings=RAW_ARGUMENTS if entry.passes_arguments else None,
    )(module.command)
    return typer.main.get_command(app)


def _full_help(entry: CommandEntry, details: str) -> str:
    """The paragraphs of a command's own help: what it does, the exit codes, the details."""
    paragraphs = [f"{entry.help} {entry.exit_sentence}", *details.split("\n\n")]
    return "\n\n".join(text for paragraph in paragraphs if (text := " ".join(paragraph.split())))


def _epilog(entry: CommandEntry) -> str | None:
    if not entry.example:
        return None
    has_program = "{program}" in entry.example
    example = entry.example.format(program=PROGRAM) if has_program else f"{PROGRAM} {entry.example}"
    return "\n\n".join(part for part in (f"Example: {example}", entry.after_help) if part)
