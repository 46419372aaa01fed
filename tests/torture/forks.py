"""Run functions in processes that start at once: this process has imported the module, and forks for each call.

Its argument is a module with a function `do`. Each line on standard input is one call: the JSON of its parameters and,
as `to`, a file. The answer is the process id of the fork. The JSON of the result of `do` is written to the file.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

to = Path()


def report(answer: object) -> None:
    part = to.with_suffix(".part")
    part.write_text(json.dumps(answer))
    part.replace(to)


def _child(do: Callable[..., object], call: dict[str, Any]) -> None:
    global to  # noqa: PLW0603 - one call a process
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    to = Path(call.pop("to"))
    try:
        report(do(**call))
    except BaseException:  # noqa: BLE001 - reported to the test, which fails with it
        report(["died", traceback.format_exc()])


def main(module: str) -> None:
    do = importlib.import_module(module).do
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    for line in sys.stdin:
        if not (pid := os.fork()):
            _child(do, json.loads(line))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    from torture import forks  # the module that others import, not this one, which is named __main__

    forks.main(sys.argv[1])
