"""The block that a person fills in for one 1Password account."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast
from uuid import uuid4

from pydantic import Field, HttpUrl, SecretStr, field_validator

from blocks import settings
from blocks.config.alert_thresholds import LAG_DEFAULT, LAG_FORMS, SILENCE_DEFAULT, SILENCE_FORMS
from blocks.config.first_run import LOOKBACK_DEFAULT, LOOKBACK_FORMS
from blocks.config.source_file import SourceConfig, check_members
from blocks.events_api.credentials import NO_TOKEN, OnePasswordCredentials
from blocks.problems import ConfigurationError, Problem
from blocks.secret_block import PATH, SecretBlock
from blocks.store.block import EventStore

if TYPE_CHECKING:
    from prefect.client.schemas.objects import BlockDocument
    from sqlalchemy import Engine

ApiName = Literal["sign-in", "itemUsage", "audit"]
ApiVersion = Literal["v2", "v1"]
Block = TypeVar("Block", bound="OnePasswordSource")
_SOURCE_ID = re.compile(r"[0-9a-f]{32}")


class OnePasswordSource(SecretBlock):
    """One 1Password account from which events are collected.

    Example:
        ```python
        from blocks.source import OnePasswordSource

        source = OnePasswordSource.load("BLOCK_NAME").validated()
        print(source.config().supported_apis)
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password Source"
    _block_type_slug: ClassVar[str | None] = "1password-source"
    _description: ClassVar[str | None] = (
        "One 1Password account: which of its events are collected, and what is known about it."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://developer.1password.com/docs/events-api/")

    name: str = Field(description="The name of the source. It may change; the events stay with the source.")
    credentials: OnePasswordCredentials = Field(description="The base URL and the token of the account.")
    supported_apis: list[ApiName] = Field(
        title="Supported APIs",
        description="Which events are collected, one or more. The token needs the feature of each.",
        # For the form only: a constraint of pydantic would reject the block before it can be corrected.
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    description: str = Field(default="", description="What the source is, in your own words.")
    category: str = Field(
        default="", description="The source category that goes with each event, such as sec/1password."
    )
    fields: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "Metadata that goes with each event: names with a text, a number, true or false."
            " Set _siemForward to true to forward the events to SIEMs."
        ),
        examples=[{"_siemForward": True, "team": "blue"}],
    )
    api_version: ApiVersion = Field(
        default="v2", title="API version", description="The version of the Events API. v1 is the older one."
    )
    collect_from: str = Field(
        default="",
        title="Collect from",
        description=f"How far back the first run reads: {LOOKBACK_FORMS}. Empty means {LOOKBACK_DEFAULT}.",
        examples=["7d"],
    )
    silence_after: str = Field(
        default="",
        title="Silence after",
        description=(
            f"Warn if an API has no event for so long: {SILENCE_FORMS}. Empty means {SILENCE_DEFAULT}, or longer"
            " if the API is often silent for longer."
        ),
        examples=["sign-in=24h, audit=7d"],
    )
    lag_after: str = Field(
        default="",
        title="Lag after",
        description=f"Warn if an API was not read to its end for so long: {LAG_FORMS}. Empty means {LAG_DEFAULT}.",
        examples=["1h"],
    )
    filters: list[dict[str, Any]] | None = Field(
        default=None,
        title="Processing rules",
        description=(
            "What is filtered or redacted for every SIEM and archive, as in Sumo Logic: include, exclude, mask or hash"
            " by a regular expression (RE2)."
            ' Such as {"name": "no fills", "filterType": "Exclude", "regexp": ".*fill.*"}.'
        ),
    )
    hosted: dict[str, Any] = Field(
        default_factory=dict,
        title="Of the hosted source",
        description="What else its file held. `export` writes it again; hashAlgorithm is MD5 or SHA-256.",
    )
    store: EventStore | None = Field(
        default=None,
        description=f"Where the events are kept. Empty means the database of {settings.PREFIX}DATABASE_URL.",
    )
    source_id: str = Field(
        default_factory=lambda: uuid4().hex,
        title="Source id",
        description=(
            "What ties the stored events to this source. Leave it as it is (empty in a new block):"
            " with another id, all events would be collected again, as those of another source."
        ),
    )

    @field_validator("source_id", mode="before")
    @classmethod
    def _new_where_empty(cls, value: object) -> object:
        return value or uuid4().hex

    @classmethod
    def _from_block_document(cls, block_document: BlockDocument) -> Self:
        return _identified(super()._from_block_document(block_document), block_document)

    @classmethod
    def from_document(cls, document: BlockDocument) -> Self:
        """The block of a document that was read with its secrets. Prefect emits no event, as it does for each load.

        Raises ConfigurationError where it is not valid.
        """
        return _identified(cls.model_validate(document.data), document)

    @classmethod
    def from_config(cls, config: SourceConfig, source_id: str | None = None) -> Self:
        """A block, not yet saved, as its credentials are not. Raises ConfigurationError without a token."""
        if config.api_token is None or not config.base_url:
            raise ConfigurationError([Problem("$.api_token", "there is no token", "the token of the account")])
        return cls(
            name=config.name,
            credentials=OnePasswordCredentials(
                base_url=config.base_url, api_token=SecretStr(config.api_token.get_secret_value())
            ),
            supported_apis=[api.value for api in config.supported_apis],
            description=config.description or "",
            category=config.category or "",
            fields=dict(config.fields),
            api_version=cast("ApiVersion", config.api_version),
            collect_from=config.collect_from or "",
            silence_after=config.silence_after or "",
            lag_after=config.lag_after or "",
            filters=None if config.filters is None else [dict(rule) for rule in config.filters],
            hosted=dict(config.hosted),
            source_id=source_id or uuid4().hex,
        )

    def config(self) -> SourceConfig:
        """The configuration in the block, checked by the rules for a file. Raises ConfigurationError."""
        members = {
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "fields": self.fields,
            "base_url": self.credentials.base_url,
            "api_token": self.credentials.api_token.get_secret_value(),
            "supported_apis": list(self.supported_apis),
            "api_version": self.api_version,
            "collect_from": self.collect_from,
            "silence_after": self.silence_after,
            "lag_after": self.lag_after,
        }
        return check_members(
            members, allowed_hosts=settings.allowed_hosts(), path=PATH, filters=self.filters, hosted=self.hosted
        )

    def validated(self) -> Self:
        """The block itself. Raises ConfigurationError with all that is wrong in it."""
        problems: list[Problem] = []
        try:
            config = self.config()
        except ConfigurationError as error:
            problems += error.problems
        else:
            problems += [NO_TOKEN] if config.api_token is None else []
        if not _SOURCE_ID.fullmatch(self.source_id):
            problems.append(
                Problem(f"{PATH}.source_id", "it was changed", "the 32 characters of 0-9 and a-f of before")
            )
        if problems:
            raise ConfigurationError(problems)
        return self

    def fingerprint(self) -> str:
        """32 hexadecimal characters that change with whatever the requests depend on; the token is not in them."""
        configured = [
            self.credentials.base_url.strip().lower().removeprefix("https://").removesuffix("/"),
            self.credentials.api_token.get_secret_value(),
            sorted(self.supported_apis),
            self.api_version,
            self.collect_from,
        ]
        return hashlib.blake2b(json.dumps(configured).encode(), digest_size=16).hexdigest()

    def processing_rules(self) -> dict[str, Any]:
        """The processing rules and the algorithm of their hashes, as the store keeps them; empty without any."""
        rules = {"filters": self.filters, "hashAlgorithm": self.hosted.get("hashAlgorithm")}
        return {key: value for key, value in rules.items() if value} if self.filters else {}

    def get_engine(self) -> Engine:
        """An engine for the store of the source, its own or that of the settings."""
        store = self.store or EventStore(url=SecretStr(settings.database_url()))
        return store.get_engine()


def _identified(block: Block, document: BlockDocument) -> Block:
    # A block made in the UI has no source_id, and each load would give it another one.
    if not document.data.get("source_id"):
        block.source_id = document.id.hex
    return block
