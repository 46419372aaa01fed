"""The block of a webhook: its address, its signature, and the size of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem
from blocks.secret import is_masked
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.base import SiemBlock
from blocks.siem.delivery.protocol import Limits
from blocks.siem.webhook import sender as webhook_sender
from blocks.siem.webhook.sender import WebhookSender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVENTS_MAX = 10_000
BYTES_MIN, BYTES_MAX = 10_000, 50_000_000
PARALLEL_MAX = 16


class Webhook(SiemBlock):
    """Any receiver of webhooks, signed by the Standard Webhooks specification.

    Example:
        ```python
        from blocks.siem.webhook.block import Webhook

        sender = Webhook.load("BLOCK_NAME").get_sender()
        print(sender.check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to a webhook"
    _block_type_slug: ClassVar[str | None] = "1password-siem-webhook"
    _description: ClassVar[str | None] = (
        "Forwards 1Password events to any HTTPS address, in batches of JSON that are signed (Standard Webhooks)."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://www.standardwebhooks.com/")

    kind: ClassVar[str] = "webhook"
    guarantee: ClassVar[str] = "at least once; webhook-id is an idempotency key for each batch"

    url: SecretStr = Field(
        title="Address",
        description="The HTTPS address that receives events. It is a secret: many receivers put a key into it.",
        examples=["https://hooks.example.org/1password"],
    )
    signing_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Signing secret",
        description=(
            "The secret that signs requests: whsec_ and the base64 of 24 to 64 random bytes. While you rotate it, both"
            " secrets, separated by a space. Without one, requests are not signed."
        ),
    )
    headers: SecretStr = Field(
        default=SecretStr(""),
        title="Headers",
        description="Further headers as Name: value, one on each line, such as Authorization: Bearer TOKEN.",
    )
    body_format: Literal["json-array", "ndjson"] = Field(
        default="json-array",
        title="Format",
        description=(
            "json-array: one array (application/json), which most receivers and Standard Webhooks read."
            " ndjson: one object on each line (application/x-ndjson)."
        ),
    )
    batch_events: int = Field(
        default=500,
        title="Events per request",
        description=f"The most events in one request: 1 to {EVENTS_MAX}.",
        examples=[500],
    )
    batch_bytes: int = Field(
        default=1_000_000,
        title="Bytes per request",
        description="The most bytes of one request, before compression. A larger event gets a request of its own.",
        examples=[1_000_000],
    )
    parallel: int = Field(
        default=4,
        title="Parallel requests",
        description=f"The most requests in flight: 1 to {PARALLEL_MAX}. With 1, they arrive in order.",
        examples=[4],
    )
    compress: bool = Field(
        default=False,
        title="Compress",
        description="Compress requests with gzip. The signature is that of the uncompressed body.",
    )

    def problems(self) -> Iterator[Problem]:
        url = self.url.get_secret_value()
        if not (url and is_masked(url)) and url_problem(f"{PATH}.url", url, secret=True):
            # The message never quotes the address, since it is a secret.
            yield Problem(
                f"{PATH}.url", "it is not an HTTPS address, or it holds a user name", "https://host[:port][/path]"
            )
        secrets, headers = self.signing_secret.get_secret_value(), self.headers.get_secret_value()
        yield from _problems_of(
            "signing_secret", webhook_sender.parse_signing_secrets, secrets, "whsec_ and the base64 of 24 to 64 bytes"
        )
        yield from _problems_of("headers", webhook_sender.parse_headers, headers, "Name: value, one on each line")
        for name, least, most in (
            ("batch_events", 1, EVENTS_MAX),
            ("batch_bytes", BYTES_MIN, BYTES_MAX),
            ("parallel", 1, PARALLEL_MAX),
        ):
            if not least <= (number := getattr(self, name)) <= most:
                yield Problem(f"{PATH}.{name}", f"it is {number}", f"a number from {least} to {most}")

    def get_sender(self) -> WebhookSender:
        """A connection, to be closed after use. Raises ConfigurationError, and ThirdPartyConfigError."""
        self.ensure_valid()
        return webhook_sender.WebhookSender(
            self.url.get_secret_value(),
            self.body_format,
            limits=Limits(events=self.batch_events, bytes=self.batch_bytes, parallel=self.parallel),
            keys=webhook_sender.parse_signing_secrets(self.signing_secret.get_secret_value()),
            headers=webhook_sender.parse_headers(self.headers.get_secret_value()),
            compress=self.compress,
        )


def _problems_of(name: str, read: Callable[[str], object], text: str, expected: str) -> Iterator[Problem]:
    if is_masked(text):
        return
    try:
        read(text)
    except ValueError as error:
        yield Problem(f"{PATH}.{name}", str(error), expected)
