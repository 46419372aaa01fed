"""The three errors that a run ends with: what causes them, and what happens then."""

from __future__ import annotations

from dataclasses import dataclass

from blocks.retry_window import MINUTES


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One error type. Both texts are Markdown."""

    name: str
    causes: str
    consequence: str


ERROR_KINDS = (
    ErrorKind(
        "ThirdPartyConfigError",
        "a 401, 403, 404 or missing scope that introspection confirms; a token of another account; a host that is not"
        " allowed; 400 to a first request",
        "No more requests for that API until you change the configuration or the token, or restart the source.",
    ),
    ErrorKind(
        "ThirdPartyGenericError",
        "timeouts, connection, DNS and TLS failures, 408, 425, 429, 5xx, an answer that is not a page",
        f"Retried for {MINUTES} minutes since the last progress, with growing, jittered waits that honour Retry-After."
        " Then requests for that API stop until you change the configuration or the token, or restart the source. The"
        " other APIs are collected meanwhile.",
    ),
    ErrorKind(
        "FirstPartyGenericError",
        "the database or the Prefect API",
        f"The same {MINUTES} minutes. An unexpected exception in this program is reported at once and not retried in"
        " the same run; the next run tries again.",
    ),
)
