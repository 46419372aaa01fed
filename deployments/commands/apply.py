"""`onepassword-source apply`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from blocks import settings
from blocks.configuration import parse_sources, read_file, with_token
from blocks.errors import ThirdPartyConfigError
from deployments.commands.prefect_server import prefect
from deployments.commands.present import note, plain, say, say_json, warn, with_spinner

if TYPE_CHECKING:
    from pathlib import Path

    from blocks.source_config import SourceConfig
    from deployments.sources import Applied


def run(file: Path, *, token: str | None, as_json: bool) -> None:
    """Apply a file of sources, and tell what to do next. Nothing is stored from a file with a fault."""
    if apply(file, token=token, as_json=as_json) == "temporary":
        note("Start collecting every five minutes with: onepassword-source up")
    else:
        note("It is collected at the next full five minutes, where a worker runs.")


def apply(file: Path, *, token: str | None, as_json: bool = False) -> str:
    """Apply a file of sources, and print what changed. Returns the kind of the Prefect server."""
    configs = [_with_token(config) for config in _read(file, token)]
    for config in configs:
        for warning in config.warnings:
            warn(f"{config.name}: {warning}")
    with prefect() as access:
        applied = with_spinner("Applying…", lambda: _apply(configs))
    if as_json:
        say_json([asdict(one) for one in applied])
        return access.kind
    for one in applied:
        say(f"{plain(one.name)}: {one.change} ({', '.join(one.apis)}).")
    return access.kind


def _read(file: Path, token: str | None) -> list[SourceConfig]:
    if str(file) == "-":
        data, warning = sys.stdin.buffer.read(), None
    else:
        data, warning = read_file(file)
    if warning:
        warn(warning)
    return parse_sources(data, allowed_hosts=settings.allowed_hosts(), token=token)


def _with_token(config: SourceConfig) -> SourceConfig:
    """The configuration with its token: asked for on a terminal, without echo, where nothing gave it."""
    if config.api_token is not None:
        return config
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"There is no token for {config.name!r}.",
            hint="Put it into the file as api_token, or set ONEPASSWORD_SOURCE_API_TOKEN.",
            code="configuration",
        )
    token = typer.prompt(f"API token of {plain(config.name)}", hide_input=True, err=True)
    return with_token(config, token.strip(), allowed_hosts=settings.allowed_hosts())


def _apply(configs: list[SourceConfig]) -> list[Applied]:
    from deployments import sources  # noqa: PLC0415 - imports Prefect

    sources.register_blocks()
    return [sources.apply(config) for config in configs]
