"""The block of OpenTelemetry logs: the receiver and its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import SiemBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.siem.otlp.sender import OtlpSender


class Otlp(SiemBlock):
    """An OpenTelemetry collector, or a vendor that accepts OTLP logs over HTTP.

    Example:
        ```python
        from blocks.siem.otlp.block import Otlp

        sender = Otlp.load("BLOCK_NAME").get_sender()
        print(sender.check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to OpenTelemetry"
    _block_type_slug: ClassVar[str | None] = "1password-siem-otlp"
    _description: ClassVar[str | None] = (
        "Forwards 1Password events as OpenTelemetry logs (OTLP/HTTP, protobuf) to a collector or a vendor."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://opentelemetry.io/docs/specs/otlp/")

    kind: ClassVar[str] = "otlp"
    guarantee: ClassVar[str] = "at least once; log.record.uid identifies duplicates"

    url: str = Field(
        title="Endpoint",
        description="The receiver's HTTPS address. /v1/logs is appended if it is missing.",
        examples=["https://collector.example.org:4318", "https://otlp.vendor.example/v1/logs"],
    )
    headers: SecretStr = Field(
        default=SecretStr(""),
        title="Headers",
        description=(
            "The credentials, such as DD-API-KEY=KEY or Authorization=Bearer%20TOKEN. The form is that of"
            " OTEL_EXPORTER_OTLP_HEADERS: name=value, separated by commas, with %20 for a space in a value."
        ),
    )
    service_name: str = Field(
        default="1password",
        title="Service name",
        description="The resource attribute service.name, by which receivers group logs.",
        examples=["1password"],
    )

    compress: bool = Field(
        default=True,
        title="Compress",
        description="Compress requests with gzip. Some receivers do not support it.",
    )

    def problems(self) -> Iterator[Problem]:
        from blocks.siem.otlp import sender as otlp_sender  # noqa: PLC0415 - imports protobuf

        if problem := url_problem(f"{PATH}.url", self.url):
            yield problem
        if not self.service_name.strip():
            yield Problem(f"{PATH}.service_name", "it is empty", "a name, such as 1password")
        try:
            otlp_sender.parse_headers(self.headers.get_secret_value())
        except ValueError as error:
            yield Problem(f"{PATH}.headers", f"it has {error}", "name=value,name=value, with %20 for a space")

    def get_sender(self) -> OtlpSender:
        """A connection, to be closed after use. Raises ConfigurationError, and ThirdPartyConfigError."""
        from blocks.siem.otlp import sender as otlp_sender  # noqa: PLC0415 - imports protobuf

        self.ensure_valid()
        headers = otlp_sender.parse_headers(self.headers.get_secret_value())
        return otlp_sender.OtlpSender(self.url, headers, self.service_name, compress=self.compress)
