"""The block of a syslog receiver: any that accepts RFC 5424 over TLS, such as rsyslog, syslog-ng or a SIEM's own."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem, quote
from blocks.secret_block import PATH
from blocks.siem.base import SiemBlock
from blocks.siem.syslog import client_identity
from blocks.siem.syslog.rfc5424 import (
    HOSTNAME_MAX,
    NAME_MAX,
    Facility,
    MessageEncoder,
    MessageStyle,
    param_name,
    printable,
)
from blocks.siem.syslog.rfc5425 import Receiver
from blocks.siem.syslog.sender import SyslogSender

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 6514  # RFC 5425 section 4.1
PORT_MAX = 65535
SD_ID = "1password@32473"
"""The SD-ID of the structured data. 32473 is the number for examples (RFC 5612); this project has none of its own."""
MESSAGE_MAX = 8192  # octets that a receiver should accept (RFC 5425 section 4.3.1), and the default maximum of rsyslog
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_SD_ID = re.compile(r"[^@]+@[0-9]+(\.[0-9]+)*")


class Syslog(SiemBlock):
    """A receiver of syslog over TLS.

    Example:
        ```python
        from blocks.siem.syslog.block import Syslog

        siem = Syslog.load("BLOCK_NAME")
        print(siem.get_sender().check())
        ```

    """

    kind: ClassVar[str] = "syslog"
    guarantee: ClassVar[str] = "at least once, until the receiver has read it (syslog has no acknowledgement)"
    _block_type_name: ClassVar[str | None] = "1Password to Syslog"
    _block_type_slug: ClassVar[str | None] = "1password-siem-syslog"
    _description: ClassVar[str | None] = "Forwards 1Password's events as syslog (RFC 5424) over TLS (RFC 5425)."
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://www.rfc-editor.org/rfc/rfc5425")

    host: str = Field(
        title="Host",
        description="The receiver's name or address, as in the receiver's certificate.",
        examples=["syslog.example.com"],
    )
    port: int = Field(
        default=PORT,
        title="Port",
        description="The port on which the receiver listens for TLS.",
        examples=[PORT],
    )
    facility: Facility = Field(
        default="audit",
        title="Facility",
        description="Receivers filter by facility: audit (13, log audit), or the one that yours is configured for.",
        examples=["audit", "local4"],
    )
    hostname: str = Field(
        default="",
        title="Host name in messages",
        description="The HOSTNAME of each message. Empty: the name of the machine that sends.",
        examples=["1password-source"],
    )
    sd_id: str = Field(
        default=SD_ID,
        title="SD-ID",
        description=(
            "The name of the structured data: a name, @, and a private enterprise number. If your organization has a"
            " number of its own, replace 32473, which is the number for examples."
        ),
        examples=[SD_ID],
    )
    bom: bool = Field(
        default=False,
        title="Byte order mark",
        description=(
            "Send the byte order mark of UTF-8 before each JSON document, as RFC 5424 requires. Most JSON parsers"
            " reject it."
        ),
        examples=[False],
    )
    max_message: int = Field(
        default=MESSAGE_MAX,
        title="Longest message",
        description=(
            "In octets. Longer messages are rejected and kept, because a receiver truncates them silently. Do not"
            " exceed the receiver's own limit. 0: no limit."
        ),
        examples=[MESSAGE_MAX, 65536],
    )
    confirm: bool = Field(
        default=True,
        title="Wait for close_notify",
        description=(
            "A batch counts as sent only when the receiver has answered the end of TLS, as RFC 5425 requires. Disable"
            " this only for receivers that never do: then the end of TCP is enough."
        ),
        examples=[True],
    )
    ca_certificate: str = Field(
        default="",
        title="Certificate authority",
        description="PEM. If it is set, only its certificates are trusted. Empty: the public authorities.",
        examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
    )
    client_certificate: str = Field(
        default="",
        title="Client certificate",
        description="PEM, with the intermediate certificates. For receivers that require a client certificate.",
        examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----"],
    )
    client_key: SecretStr = Field(
        default=SecretStr(""),
        title="Key of the client certificate",
        description="PEM, without a passphrase.",
        examples=["-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----"],
    )

    def get_sender(self) -> SyslogSender:
        """Return a sender. Each batch has its own connection. Raises ConfigurationError and ThirdPartyConfigError."""
        self.ensure_valid()
        context = client_identity.tls_context(
            self.ca_certificate, self.client_certificate, self.client_key.get_secret_value()
        )
        hostname = printable(self.hostname or socket.gethostname(), HOSTNAME_MAX)
        messages = MessageEncoder(MessageStyle(hostname, self.sd_id, self.facility, self.bom))
        return SyslogSender(Receiver(self.host, self.port, context, self.confirm), messages, self.max_message)

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the address, the header, the sizes and the certificates."""
        if not _HOST.fullmatch(self.host):
            yield Problem(
                f"{PATH}.host", f"{quote(self.host)} is not a host name", "a name or an address, and nothing else"
            )
        if not 0 < self.port <= PORT_MAX:
            yield Problem(f"{PATH}.port", f"{self.port} is not a port", f"1 to {PORT_MAX:,}, such as {PORT}")
        if self.max_message < 0:
            yield Problem(f"{PATH}.max_message", "it is negative", f"octets, such as {MESSAGE_MAX}, or 0")
        yield from self._header_problems()
        yield from self._certificate_problems()

    def _header_problems(self) -> Iterator[Problem]:
        if self.hostname and printable(self.hostname, HOSTNAME_MAX) != self.hostname:
            expected = f"up to {HOSTNAME_MAX} printable ASCII characters without a space"
            yield Problem(f"{PATH}.hostname", f"{quote(self.hostname)} cannot be part of a message", expected)
        if not _SD_ID.fullmatch(self.sd_id) or param_name(self.sd_id) != self.sd_id:
            expected = f"a name, @ and a number, such as {SD_ID}: {NAME_MAX} characters at most"
            yield Problem(f"{PATH}.sd_id", f"{quote(self.sd_id)} is not an SD-ID", expected)

    def _certificate_problems(self) -> Iterator[Problem]:
        yield from client_identity.problems(
            (f"{PATH}.ca_certificate", self.ca_certificate),
            (f"{PATH}.client_certificate", self.client_certificate),
            (f"{PATH}.client_key", self.client_key.get_secret_value()),
        )
