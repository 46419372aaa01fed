"""Flow runs, each in a process forked from this one, which has imported Prefect and the flows: one JSON line for each.

Reads what the worker would hand to each run from its standard input, one JSON line for each.
The cost of a run is measured from outside of it.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from typing import Any

PROFILE = "BENCHMARK_PROFILE"
"""A file for the profile of the last run."""
MODULES = "BENCHMARK_MODULES"
"""A file for the modules that the last run has imported, since the process that it is forked from had not."""


def main() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _be(json.loads(line))
        _, status, used = os.wait4(child, 0)
        measured = {"cpu_seconds": used.ru_utime + used.ru_stime, "exit_code": os.waitstatus_to_exitcode(status)}
        print(json.dumps(measured), flush=True)  # noqa: T201


def _be(request: dict[str, Any]) -> None:
    from deployments.one_machine.related_objects import cache_related

    os.environ.update(request["env"])
    cache_related(request["related"])
    sys.argv[:] = ["prefect.engine"]
    os.dup2(2, 1)
    code, before = 0, set(sys.modules)
    try:
        _run()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    if path := os.environ.get(MODULES):
        with open(path, "w") as file:  # noqa: PTH123 - as short
            file.writelines(f"{module}\n" for module in sys.modules if module not in before)
    _leave(code)


def _run() -> None:
    if path := os.environ.get(PROFILE):
        import cProfile

        profile = cProfile.Profile()
        try:
            profile.runcall(runpy.run_module, "prefect.engine", run_name="__main__")
        finally:
            profile.dump_stats(path)
    else:
        runpy.run_module("prefect.engine", run_name="__main__")


def _leave(code: int) -> None:
    """As the interpreter ends: its threads, what is to be done at exit, and what is written."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
