"""The console's form for a new source, and `apply` without a Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.sources import AppliedSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.console_client import ConsoleClient

    from blocks.config.source_config import SourceConfig
    from deployments.sandbox.process import SandboxProcess

NEW = "/sources/new"


class FakeApply:
    """Replaces `sources` and `source_apply`: records the applied sources, and those for which a run started."""

    def __init__(self) -> None:
        self.configs: list[SourceConfig] = []
        self.started: list[str] = []
        self.refuses = False

    def apply_all(self, configs: list[SourceConfig], _rules: object) -> Iterator[AppliedSource]:
        for config in configs:
            self.configs.append(config)
            apis = tuple(map(str, config.supported_apis))
            if self.refuses:
                yield AppliedSource(config.name, "refused", apis, problem="The token was rejected.")
            else:
                yield AppliedSource(config.name, "created", apis, warnings=("A warning.",))

    def prepare(self) -> tuple[str, ...]:
        return ("The automations were refused.",)

    def start_runs(self, applied: list[AppliedSource]) -> dict[str, str]:
        self.started += [one.name for one in applied]
        return {}


def form(api: SandboxProcess, **members: str) -> dict[str, str]:
    return {"name": "Acme", "base_url": api.base_url, "api_token": api.token, "api-audit": "on", **members}


def check(operator: ConsoleClient, given: dict[str, str]) -> tuple[str, str]:
    """Submit the form for a check. Returns the page with the result, and the id of the check."""
    answer = operator.post_form(NEW, **given)
    job_id = str(answer.url).partition("check=")[2]
    found = operator.served.console.jobs.find(job_id)
    if found is not None:
        assert found.ended.wait(60)
        return operator.page(f"{NEW}?check={job_id}"), job_id
    return answer.text, ""
