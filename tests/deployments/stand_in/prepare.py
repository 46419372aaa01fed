"""Deploys the stand-in flow for each source that the arguments name."""

from __future__ import annotations

import sys

from prefect.client.orchestration import get_client

from deployments.prefect_api import deploy, deployment_specs

with get_client(sync_client=True) as client:
    deploy.ensure_work_pool(client, local=True)
for name in sys.argv[1:]:
    deploy.deploy_source(deployment_specs.SourceDeployment(name, f"The source {name}", ("blue",), "stand_in.collect"))
