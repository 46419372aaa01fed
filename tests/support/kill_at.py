"""Run a command, and SIGKILL this process before its n-th request to Prefect or n-th transaction of the store.

python kill_at.py 7 rename old new
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine

from deployments import cli

_left = int(sys.argv[1])
_send = httpx.Client.send


def _step(*_: object) -> None:
    global _left  # noqa: PLW0603
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _counted(client: httpx.Client, *arguments: Any, **options: Any) -> httpx.Response:
    _step()
    return _send(client, *arguments, **options)


if __name__ == "__main__":
    httpx.Client.send = _counted  # type: ignore[method-assign]
    event.listen(Engine, "begin", _step)
    sys.exit(cli.main(sys.argv[2:]))
