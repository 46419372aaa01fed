"""The block of a Sumo Logic HTTP source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem
from blocks.secret import is_masked
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import SiemBlock
from blocks.siem.formats.event import Classifier
from blocks.siem.sumo_logic.sender import SumoLogicSender

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_MAX = 1024  # what Sumo Logic takes of a name, a host or a category
_SLASHES_BEFORE_HOST = 2
_EXPECTED = "https://<endpoint>/receiver/v1/http/<code>, as Sumo Logic shows it for an HTTP source"


class SumoLogicSiem(SiemBlock):
    """An HTTP Logs Source of Sumo Logic.

    Example:
        ```python
        from blocks.siem.sumo_logic.block import SumoLogicSiem

        siem = SumoLogicSiem.load("BLOCK_NAME")
        print(siem.get_sender().check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to Sumo Logic"
    _block_type_slug: ClassVar[str | None] = "1password-siem-sumo-logic"
    _description: ClassVar[str | None] = "Forwards 1Password events to an HTTP Logs Source of Sumo Logic."
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://www.sumologic.com/help/docs/send-data/hosted-collectors/http-source/logs-metrics/"
    )

    kind: ClassVar[str] = "sumo-logic"
    guarantee: ClassVar[str] = "at least once; deduplicate by uuid"

    url: SecretStr = Field(
        title="URL of the HTTP source",
        description="The whole address that Sumo Logic shows for the source. It is a secret: anyone with it may send.",
        examples=["https://endpoint1.collection.sumologic.com/receiver/v1/http/CODE"],
    )
    classifier: Classifier = Field(
        default="parser",
        title="Classifier",
        description=(
            "How Cloud SIEM recognizes the type of an event: parser sends _siemParser, as the hosted source does;"
            " event-id sends _siemEventID (such as signin-success), in smaller requests."
        ),
    )
    source_name: str = Field(
        default="",
        title="_sourceName",
        description="Sent as X-Sumo-Name. If empty, it is the name of the 1Password source.",
        examples=["1password"],
    )
    source_host: str = Field(
        default="",
        title="_sourceHost",
        description="Sent as X-Sumo-Host. If empty, Sumo Logic uses the host of the HTTP source.",
        examples=["collector-1"],
    )
    source_category: str = Field(
        default="",
        title="_sourceCategory",
        description="Sent as X-Sumo-Category. If empty, it is the category of the 1Password source.",
        examples=["sec/1password"],
    )

    def problems(self) -> Iterator[Problem]:
        if problem := _url_problem(self.url.get_secret_value()):
            yield problem
        for name in ("source_name", "source_host", "source_category"):
            text: str = getattr(self, name)
            if len(text) > HEADER_MAX or not (text.isascii() and (text.isprintable() or not text)):
                expected = f"at most {HEADER_MAX} printable ASCII characters"
                yield Problem(f"{PATH}.{name}", "a header cannot hold it", expected)

    def get_sender(self) -> SumoLogicSender:
        self.ensure_valid()
        url = self.url.get_secret_value().strip()
        return SumoLogicSender(url, name=self.source_name, host=self.source_host, category=self.source_category)


def _url_problem(url: str) -> Problem | None:
    if url and is_masked(url):
        return None  # reported with the other secrets
    path = f"{PATH}.url"
    # The message quotes no part of the URL, since any part may be the secret.
    if url_problem(path, url.strip(), secret=True) is not None:
        return Problem(path, "it is not the address of an HTTP source", _EXPECTED)
    if url.strip().rstrip("/").count("/") == _SLASHES_BEFORE_HOST:
        return Problem(path, "the code at its end is missing", _EXPECTED)
    return None
