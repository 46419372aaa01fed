"""The exit codes of the program. 130 and 143 are the shell's own for Ctrl-C and SIGTERM."""

from __future__ import annotations

DONE, IN_ERROR, WRONG_USE, SKIPPED = 0, 1, 2, 3
INTERRUPTED, TERMINATED = 130, 143

MEANINGS = {
    DONE: "It is done.",
    IN_ERROR: "A source or a SIEM is in error or not running, a check failed, or the command failed.",
    WRONG_USE: "The command, an option or a configuration is wrong.",
    SKIPPED: "Skipped: other runs work on every API (`collect`, `restart` and `siem run` only).",
    INTERRUPTED: "You stopped it with Ctrl-C, or did not confirm.",
    TERMINATED: "It was ended by SIGTERM.",
}
