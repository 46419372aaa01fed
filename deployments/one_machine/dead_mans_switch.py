"""A dead-man's switch: requests a URL while all is well, so that an outside service notices if the requests stop.

The URL is a secret, since anyone who knows it can pretend that all is well. It is never shown or logged, and no child
process gets it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from blocks import settings
from blocks.errors import SourceError, ThirdPartyConfigError
from deployments.bounded_call import BoundedCall

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from deployments.up_health import UpHealth

NAME = "HEARTBEAT_URL"
EVERY_SECONDS = 55.0
"""Less than a minute, because the rounds of the watchdog take 15 s."""
REQUEST_SECONDS = 10.0
FAILS = "The request to the heartbeat URL failed ({}). Your monitoring may raise an alarm; collecting continues."
ANSWERS = "Requests to the heartbeat URL succeed again."


class DeadMansSwitch:
    """A listener of the watchdog."""

    def __init__(self, url: str, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or url
        self._steady = steady
        self._request = BoundedCall(self._request_url)
        self._last: float | None = None
        self._fails = False
        logging.getLogger("httpx").addFilter(self._hides_url)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """The switch that the environment configures, or None. Removes its variable. Raises ThirdPartyConfigError."""
        variable = settings.PREFIX + NAME
        url = settings.without_reference(variable, environment.pop(variable, "").strip())
        if not url:
            return None
        if not _is_url(url):
            raise ThirdPartyConfigError(
                f"{settings.PREFIX}{NAME} is not a URL.",
                hint="Set it to the whole https:// address that your monitoring gave you, or leave it out.",
                code="setting",
            )
        return cls(url)

    def after_round(self, health: UpHealth, *, all_good: bool) -> list[str]:  # noqa: ARG002 - see watchdog.Listener
        """Request the URL if all is well. Returns a line if the outcome of the last request is news."""
        lines = self._outcome()
        now = self._steady()
        if all_good and not self._request.is_running and (self._last is None or now - self._last >= EVERY_SECONDS):
            self._last = now
            self._request.start()
        return lines

    def _outcome(self) -> list[str]:
        if self._last is None or self._request.is_running or self._request.is_idle:
            return []
        why = self._request.result(0)
        fails, self._fails = self._fails, bool(why)
        if why and not fails:
            return [FAILS.format(why)]
        return [ANSWERS] if fails and not why else []

    def _hides_url(self, record: logging.LogRecord) -> bool:
        """Keep the URL out of every log: httpx logs the address of each request."""
        return self._host not in record.getMessage()

    def _request_url(self) -> str:
        """Why the request failed, without any part of the URL; empty if it succeeded."""
        from blocks.http.client import HttpClient  # noqa: PLC0415 - httpx: only those pay who set a URL

        try:
            # Only the head of the answer is read.
            with (
                HttpClient(self._url, {}, service="The heartbeat URL", deadline=REQUEST_SECONDS) as client,
                client.open("GET", self._url) as answer,
            ):
                return "" if answer.is_success else f"status {answer.status_code}"
        except SourceError as error:
            return error.code or error.name
        except (OSError, ValueError) as error:
            return type(error).__name__


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and text.isprintable() and " " not in text
    except ValueError:
        return False
