"""A command of this program in a sentence, as it can be pasted into a shell."""

from __future__ import annotations

import shlex

PROGRAM = "onepassword-source"


def command_line(command: str, *names: str, options: tuple[str, ...] = ()) -> str:
    """The command with what it is for: `onepassword-source events '1Pass EU' --since 7d`.

    `command` may be of two words (`siem replay`). Names and options are quoted where a shell needs it; a name that
    begins with a dash stands behind `--`, where it is no option.
    """
    words = [PROGRAM, *command.split()]
    if any(name.startswith("-") for name in names):
        return shlex.join([*words, *options, "--", *names])
    return shlex.join([*words, *names, *options])
