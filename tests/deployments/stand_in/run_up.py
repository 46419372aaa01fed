"""Runs an `up` that deploys the stand-in flow; its arguments are the sources to deploy."""

from __future__ import annotations

import sys

import deployments.up
from blocks.errors import SourceError
from deployments.deploy import SourceDeployment, deploy_source

deployments.up.RUNS_SECONDS = 10  # a loaded server takes seconds to tell which runs there are


def deploy_sources() -> None:
    for name in sys.argv[1:]:
        deploy_source(SourceDeployment(name, f"The source {name}", ("blue",), "stand_in.collect"))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


try:
    deployments.up.up(deploy_sources, say)
except SourceError as error:
    sys.exit(str(error))
