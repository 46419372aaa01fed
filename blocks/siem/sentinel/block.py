"""The block of Microsoft Sentinel: the data collection rule, and the application that writes to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem, quote
from blocks.secret import is_masked
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import SiemBlock
from blocks.siem.sentinel.sender import AccessTokens, SentinelSender

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTHORITY = "https://login.microsoftonline.com"
SCOPE = "https://monitor.azure.com//.default"
_RULE = re.compile(r"dcr-[0-9a-f]{32}")
_STREAM = re.compile(r"(?:Custom|Microsoft)-[A-Za-z0-9_-]{1,100}")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")
_SCOPE = re.compile(r"https://[A-Za-z0-9.-]+/{1,2}\.default")


class Sentinel(SiemBlock):
    """Microsoft Sentinel, by the Logs Ingestion API of Azure Monitor.

    Example:
        ```python
        from blocks.siem.sentinel.block import Sentinel

        sender = Sentinel.load("BLOCK_NAME").get_sender()
        print(sender.check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to Microsoft Sentinel"
    _block_type_slug: ClassVar[str | None] = "1password-siem-sentinel"
    _description: ClassVar[str | None] = (
        "Forwards 1Password events to Microsoft Sentinel: into a table of a Log Analytics workspace, by a data"
        " collection rule."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview"
    )

    kind: ClassVar[str] = "sentinel"
    guarantee: ClassVar[str] = "at least once; the column Uuid identifies duplicates"

    endpoint: str = Field(
        title="Logs ingestion endpoint",
        description=(
            "The logs ingestion URL of the data collection rule (its JSON view, endpoints), or of a data collection"
            " endpoint where you use a private link."
        ),
        examples=["https://my-dcr-a1b2.westeurope-1.ingest.monitor.azure.com"],
    )
    rule_id: str = Field(
        title="Immutable id of the rule",
        description="The immutable id of the data collection rule, from its overview.",
        examples=["dcr-00000000000000000000000000000000"],
    )
    stream: str = Field(
        default="Custom-OnePassword",
        title="Stream",
        description="The stream of the rule for the events, as in its stream declarations.",
        examples=["Custom-OnePassword"],
    )
    tenant_id: str = Field(
        title="Directory (tenant) id",
        description="The tenant of the application, as an id or as a domain.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_id: str = Field(
        title="Application (client) id",
        description="The app registration that may write to the rule (role Monitoring Metrics Publisher).",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_secret: SecretStr = Field(
        title="Client secret",
        description="The value (not the id) of a client secret of the application.",
    )
    authority: str = Field(
        default=AUTHORITY,
        title="Authority",
        description=(
            "The address at which Entra issues tokens. Azure Government: https://login.microsoftonline.us,"
            " Azure in China: https://login.chinacloudapi.cn."
        ),
        examples=[AUTHORITY],
    )
    scope: str = Field(
        default=SCOPE,
        title="Scope",
        description=(
            "The scope of the tokens. Azure Government: https://monitor.azure.us//.default,"
            " Azure in China: https://monitor.azure.cn//.default."
        ),
        examples=[SCOPE],
    )

    def problems(self) -> Iterator[Problem]:
        for name, url in (("endpoint", self.endpoint), ("authority", self.authority)):
            if problem := url_problem(f"{PATH}.{name}", url):
                yield problem
        yield from self._name_problems()
        secret = self.client_secret.get_secret_value()
        if not secret:
            yield Problem(f"{PATH}.client_secret", "it is empty", "the value of a client secret")
        elif _ID.fullmatch(secret) and not is_masked(secret):
            yield Problem(
                f"{PATH}.client_secret", "it is the id of a client secret", "its value, which Entra shows once"
            )

    def get_sender(self) -> SentinelSender:
        """A connection, to be closed after use. Raises ConfigurationError, and ThirdPartyConfigError."""
        self.ensure_valid()
        secret = self.client_secret.get_secret_value()
        tokens = AccessTokens(self.authority, self.tenant_id, self.client_id, secret, self.scope)
        return SentinelSender(self.endpoint, self.rule_id, self.stream, tokens)

    def _name_problems(self) -> Iterator[Problem]:
        for name, form, expected in (
            ("rule_id", _RULE, "the immutable id, dcr- and 32 hexadecimal digits"),
            ("stream", _STREAM, "a stream of the rule, such as Custom-OnePassword"),
            ("tenant_id", _TENANT, "the id or a domain of the directory"),
            ("client_id", _ID, "the application's id, 32 hexadecimal digits with dashes between"),
            ("scope", _SCOPE, f"a scope such as {SCOPE}"),
        ):
            if not form.fullmatch(value := getattr(self, name)):
                yield Problem(f"{PATH}.{name}", f"{quote(value)} is not valid", expected)
