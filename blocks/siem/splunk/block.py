"""The block of a Splunk HTTP Event Collector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.events_api.models import Api
from blocks.problems import Problem, quote
from blocks.secret import is_masked
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import SiemBlock
from blocks.siem.splunk.sender import SplunkSender

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEX = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_ENDPOINT = re.compile(r"/services/collector(/.*)?$")


class SplunkSiem(SiemBlock):
    """The HTTP Event Collector of Splunk Enterprise or Splunk Cloud.

    Example:
        ```python
        from blocks.siem.splunk.block import SplunkSiem

        siem = SplunkSiem.load("BLOCK_NAME")
        print(siem.get_sender().check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to Splunk"
    _block_type_slug: ClassVar[str | None] = "1password-siem-splunk"
    _description: ClassVar[str | None] = "Forwards 1Password events to the HTTP Event Collector of Splunk."
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data"
    )

    kind: ClassVar[str] = "splunk"
    guarantee: ClassVar[str] = "at least once, into the index if the token has acknowledgement; deduplicate by uuid"

    url: str = Field(
        title="URL of the collector",
        description="Scheme, host and port of the HTTP Event Collector, without the path.",
        examples=["https://splunk.example.com:8088", "https://http-inputs-example.splunkcloud.com"],
    )
    token: SecretStr = Field(
        title="Token",
        description="A token of the HTTP Event Collector. With acknowledgement, each batch waits until it is indexed.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    index: str = Field(
        default="",
        title="Index",
        description="The index of all events. If empty, it is the token's default index.",
        examples=["onepassword"],
    )
    indexes: dict[str, str] = Field(
        default_factory=dict,
        title="Index of an API",
        description='An own index for sign-in, itemUsage or audit, such as {"audit": "onepassword_audit"}.',
        examples=[{"audit": "onepassword_audit"}],
    )
    host: str = Field(
        default="",
        title="Host",
        description="The host of each event. If empty, Splunk sets it.",
        examples=["collector-1"],
    )
    source: str = Field(
        default="",
        title="Source",
        description="The source of each event. If empty, it is the name of the 1Password source.",
        examples=["1password"],
    )

    def problems(self) -> Iterator[Problem]:
        if problem := url_problem(f"{PATH}.url", self.url):
            yield problem
        yield from _token_problems(self.token.get_secret_value())
        if self.index and not _INDEX.fullmatch(self.index):
            yield _index_problem(f"{PATH}.index", self.index)
        for api, index in self.indexes.items():
            if api not in set(Api):
                yield Problem(f"{PATH}.indexes", f"{quote(api)} is not an API", "sign-in, itemUsage or audit")
            elif not _INDEX.fullmatch(index):
                yield _index_problem(f"{PATH}.indexes.{api}", index)

    def get_sender(self) -> SplunkSender:
        self.ensure_valid()
        return SplunkSender(
            collector_url(self.url),
            self.token.get_secret_value(),
            index=self.index,
            indexes=self.indexes,
            host=self.host,
            source=self.source,
        )


def collector_url(url: str) -> str:
    """Return the collector's address without the path of an endpoint, which users often copy along."""
    return _ENDPOINT.sub("", url.strip().rstrip("/"))


def _token_problems(token: str) -> Iterator[Problem]:
    if token and is_masked(token):
        return  # reported with the other secrets
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        expected = "the token alone, such as 00000000-0000-0000-0000-000000000000, without the word Splunk"
        yield Problem(f"{PATH}.token", "it is empty, or holds characters that no token has", expected)


def _index_problem(path: str, index: str) -> Problem:
    expected = "80 lower-case letters, digits, _ or - at most, beginning with a letter or a digit"
    return Problem(path, f"{quote(index)} is not a valid name of an index", expected)
