"""Runs an `up` that deploys the stand-in flow; its arguments are the sources to deploy."""

from __future__ import annotations

import sys
from pathlib import Path

from blocks.errors import SourceError
from deployments.one_machine.up import up


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


try:
    up(say, prepare=[sys.executable, str(Path(__file__).with_name("prepare.py")), *sys.argv[1:]])
except SourceError as error:
    sys.exit(str(error))
