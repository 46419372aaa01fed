"""What is configured of one source, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blocks.events_api.models import Api
    from blocks.secret import Secret


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One source, checked.

    `base_url` is `https://host`; it is empty only while there is no token that could name the host.
    `api_token` is None if the file holds none yet; `with_token` completes the record.
    `filters` are its processing rules as the file has them (see `blocks.siem.privacy.processing`), None without any.
    `hosted` is what else a file of the hosted source holds, which `export` writes again: see
    `source_schema.hosted_members`.
    `warnings` are sentences for the person who applies it, and no part of the configuration.
    """

    name: str
    description: str | None
    category: str | None
    fields: dict[str, str | bool | int | float]
    base_url: str
    api_token: Secret | None
    supported_apis: tuple[Api, ...]
    api_version: str = "v2"
    collect_from: str | None = None
    silence_after: str | None = None
    lag_after: str | None = None
    filters: tuple[Mapping[str, Any], ...] | None = None
    hosted: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
