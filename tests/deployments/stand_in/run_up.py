"""Runs an `up` that deploys the stand-in flow; its arguments are the sources to deploy."""

from __future__ import annotations

import sys

from blocks.errors import SourceError
from deployments.deploy import SourceDeployment, deploy_source
from deployments.up import up


def deploy_sources() -> None:
    for name in sys.argv[1:]:
        deploy_source(SourceDeployment(name, f"The source {name}", ("blue",), "stand_in.collect"))


try:
    up(deploy_sources, lambda line: print(line, flush=True))
except SourceError as error:
    sys.exit(str(error))
