"""The block of Elasticsearch and OpenSearch: the cluster, the index and the credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

import httpx
from pydantic import Field, HttpUrl, SecretStr

from blocks.http.loopback import is_loopback
from blocks.problems import Problem, quote
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import EventFormat, SiemBlock
from blocks.siem.elasticsearch import sender as elasticsearch_sender
from blocks.siem.elasticsearch.sender import ElasticsearchSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.events_api.models import Api

INDEX = "logs-1password.{dataset}-default"
INDEX_MAX = 255  # bytes
_PARTS = 3  # of a data stream's name
_PLACEHOLDER = re.compile(r"\{(?:dataset|api)\}")
_FORBIDDEN = re.compile(r'[\\/*?"<>|\s,#:{}]|[A-Z]|^[-_+]|^\.{1,2}$|^$')


class Elasticsearch(SiemBlock):
    """Elasticsearch or OpenSearch, by the bulk API.

    Example:
        ```python
        from blocks.siem.elasticsearch.block import Elasticsearch

        sender = Elasticsearch.load("BLOCK_NAME").get_sender()
        print(sender.check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to Elasticsearch"
    _block_type_slug: ClassVar[str | None] = "1password-siem-elasticsearch"
    _description: ClassVar[str | None] = (
        "Forwards 1Password events to Elasticsearch or OpenSearch, into the data streams of Elastic's integration."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk"
    )

    kind: ClassVar[str] = "elasticsearch"
    guarantee: ClassVar[str] = "exactly once within one backing index (uuid as _id); again after a rollover"

    url: str = Field(
        title="Address",
        description="The cluster's HTTPS address, with its port if it has one.",
        examples=["https://my-deployment.es.eu-central-1.aws.cloud.es.io:443", "https://opensearch.example.org:9200"],
    )
    index: str = Field(
        default=INDEX,
        title="Index or data stream",
        description=(
            "The index of the events. {dataset} becomes signin_attempts, item_usages or audit_events, as in Elastic's"
            " integration; {api} becomes signinattempts, itemusages or auditevents."
        ),
        examples=[INDEX, "1password-{dataset}"],
    )
    api_key: SecretStr = Field(
        default=SecretStr(""),
        title="API key",
        description="Elasticsearch: an API key in its encoded form, or as id:key. It needs create_doc on the index.",
    )
    username: str = Field(
        default="",
        title="User",
        description="OpenSearch, or Elasticsearch without an API key: the name of the user.",
        examples=["onepassword_writer"],
    )
    password: SecretStr = Field(default=SecretStr(""), title="Password", description="The password of that user.")
    event_format: EventFormat = Field(
        default="ecs",
        description=(
            "The form of each event: ECS (Elastic); raw, with the event in event.original, for the ingest pipeline of"
            " Elastic's integration; or OCSF."
        ),
    )

    def problems(self) -> Iterator[Problem]:
        if problem := url_problem(f"{PATH}.url", self.url):
            yield problem
        if problem := _index_problem(self.index):
            yield problem
        yield from self._sign_in_problems()

    def get_sender(self) -> ElasticsearchSender:
        """A connection, to be closed after use. Raises ConfigurationError, and ThirdPartyConfigError."""
        self.ensure_valid()
        key, password = self.api_key.get_secret_value(), self.password.get_secret_value()
        authorization = ""
        if key:
            authorization = elasticsearch_sender.api_key_header(key)
        elif self.username:
            authorization = elasticsearch_sender.basic_header(self.username, password)
        return elasticsearch_sender.ElasticsearchSender(self.url, self.index, authorization, (key, password))

    def data_stream_namespace(self, api: Api) -> str:
        """Return the namespace in the data stream's name, `logs-{dataset}-{namespace}`: the cluster rejects others."""
        parts = elasticsearch_sender.indices(self.index)[api].split("-", 2)
        is_data_stream = len(parts) == _PARTS and parts[0] == "logs" and parts[2]
        return parts[2] if is_data_stream else super().data_stream_namespace(api)

    def _sign_in_problems(self) -> Iterator[Problem]:
        key, password = self.api_key.get_secret_value(), self.password.get_secret_value()
        if key and (self.username or password):
            yield Problem(f"{PATH}.api_key", "a key and a user are set", "one of them")
        elif not key and bool(self.username) != bool(password):
            missing = "password" if self.username else "username"
            yield Problem(f"{PATH}.{missing}", "it is missing", "a user and a password, or an API key alone")
        elif not key and not self.username and not _is_this_machine(self.url):
            yield Problem(f"{PATH}.api_key", "neither a key nor a user is set", "an API key, or a user and a password")
        if ":" in self.username:
            yield Problem(f"{PATH}.username", "it holds a colon", "a user name without a colon")
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            yield Problem(f"{PATH}.api_key", "it holds characters that no key has", "the complete key and nothing else")


def _index_problem(index: str) -> Problem | None:
    example = _PLACEHOLDER.sub("x", index)
    if "{" in example or "}" in example:
        return Problem(f"{PATH}.index", f"{quote(index)} has an unknown placeholder", "{dataset} or {api}")
    if _FORBIDDEN.search(example) or len(index.encode()) > INDEX_MAX:
        return Problem(
            f"{PATH}.index", f"{quote(index)} is not a valid name of an index", f"lower case, such as {INDEX}"
        )
    return None


def _is_this_machine(url: str) -> bool:
    """Return whether the cluster is on this machine. A test cluster may have no security."""
    try:
        return is_loopback(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
