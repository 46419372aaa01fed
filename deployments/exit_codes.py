"""The exit codes of the program. 130 and 143 are the shell's own for Ctrl-C and SIGTERM."""

from __future__ import annotations

DONE, IN_ERROR, WRONG_USE, SKIPPED = 0, 1, 2, 3
INTERRUPTED, TERMINATED = 130, 143
