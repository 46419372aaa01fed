"""Notifications about `up` itself, which need neither the Prefect server nor its automations.

The notification block is loaded while the server works, and kept only in memory. The block's own class sends a message,
in a short-lived process (`send_notification.py`) that receives the block on standard input.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from blocks import python_process, settings
from blocks.clock import format_span
from blocks.errors import SourceError
from deployments.bounded_call import BoundedCall
from deployments.prefect_api import local_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deployments.up_health import Trouble, UpHealth

REFRESH_SECONDS = 600.0
RETRY_SECONDS = 60.0
DAY_SECONDS = 86_400.0
SEND_SECONDS = 60.0
"""A slow machine needs 20 s to import Prefect."""
ANSWER_SECONDS = 10.0
OUTBOX = 50
OK, NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    body: str


class BlockNotLoadedError(Exception):
    """Why the block cannot be loaded, for a person."""


class NotificationNotSentError(Exception):
    """The name of the error, without any part of the message or of the block."""


class Notifier:
    """A listener of the watchdog. It sends a message when a trouble begins, when it ends, and daily meanwhile."""

    def __init__(
        self,
        load: Callable[[], bytes],
        send: Callable[[bytes, Message], None],
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steady = steady
        self._loading = BoundedCall(load)
        self._sending = BoundedCall(lambda: send(self._block or b"", self._outbox[0]))
        self._block: bytes | None = None
        self._outbox: deque[Message] = deque(maxlen=OUTBOX)
        self._last: dict[str, tuple[Trouble, float]] = {}
        self._load_at = self._send_at = 0.0
        self._reported: set[str] = set()

    def after_round(self, health: UpHealth, *, all_good: bool) -> Sequence[str]:  # noqa: ARG002 - see watchdog.Listener
        """Send what is due. Returns a line for the terminal if that fails, once."""
        self._queue(health)
        lines = [*self._loaded(), *self._sent()]
        now = self._steady()
        if now >= self._load_at and not any(one.what == "server" for one in health.troubles):
            self._load_at = now + RETRY_SECONDS
            self._loading.start()
        if self._outbox and self._block and now >= self._send_at and not self._sending.is_running:
            self._send_at = now + RETRY_SECONDS
            self._sending.start()
        return lines

    def _queue(self, found: UpHealth) -> None:
        present = {one.what: one for one in (*found.troubles, *found.warnings)}
        for what, one in present.items():
            _, at = self._last.get(what, (one, None))
            if at is None or found.time - at >= DAY_SECONDS:
                self._last[what] = (one, found.time)
                self._outbox.append(_trouble_message(one, found.time))
        for what in self._last.keys() - present.keys():
            one, _ = self._last.pop(what)
            self._outbox.append(_recovery_message(one, found.time))

    def _loaded(self) -> list[str]:
        if self._loading.is_idle or self._loading.is_running:
            return []
        try:
            self._block = self._loading.result(0)
        except BlockNotLoadedError as error:
            return self._once("load", f"No notification can be sent: {error}")
        self._load_at = self._steady() + REFRESH_SECONDS
        self._reported.discard("load")
        return []

    def _sent(self) -> list[str]:
        if self._sending.is_idle or self._sending.is_running:
            return []
        try:
            self._sending.result(0)
        except NotificationNotSentError as error:
            return self._once("send", f"The notification could not be sent ({error}); it will be sent again.")
        self._outbox.popleft()
        self._reported.discard("send")
        self._send_at = 0.0
        return []

    def _once(self, what: str, line: str) -> list[str]:
        lines = [] if what in self._reported else [line]
        self._reported.add(what)
        return lines


def from_settings(api_url: str) -> Notifier | None:
    """The notifier that the settings configure, for the server at `api_url`; None if they name no block."""
    named = settings.read("NOTIFY")
    return None if named is None else Notifier(block_loader(api_url, named), send_by_child)


def block_loader(api_url: str, reference: str) -> Callable[[], bytes]:
    """A function that loads the block document TYPE/NAME as JSON, secrets included. It raises BlockNotLoadedError."""
    kind, _, name = reference.partition("/")
    login = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", ":").encode()).decode()

    def load() -> bytes:
        from blocks.http.client import HttpClient  # noqa: PLC0415 - httpx, as Prefect

        url = f"{api_url}/block_types/slug/{kind}/block_documents/name/{name}?include_secrets=true"
        headers = {"Authorization": f"Basic {login}"}
        service = "The Prefect server"
        try:
            with HttpClient(api_url, headers, service=service, deadline=ANSWER_SECONDS, through_proxy=False) as client:
                answer = client.request("GET", url)
        except SourceError as error:
            raise BlockNotLoadedError(f"the Prefect server does not answer ({error.code}).") from None
        if answer.status_code == NOT_FOUND:
            raise BlockNotLoadedError(f"there is no block {reference}; make it in the Prefect UI under Blocks.")
        if answer.status_code != OK:
            raise BlockNotLoadedError(f"the Prefect server answers {answer.status_code} for the block {reference}.")
        return answer.content

    return load


def send_by_child(block: bytes, message: Message) -> None:
    """Send a message through a block (its document as JSON) in a child process. Raises NotificationNotSentError."""
    request = {"block": msgspec.Raw(block), "subject": message.subject, "body": message.body}
    child = subprocess.Popen(
        python_process.command("deployments.one_machine.send_notification"),
        env=child_environment(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # an error of a library may quote the address, which is a secret
        start_new_session=True,
    )
    try:
        out, _ = child.communicate(msgspec.json.encode(request), timeout=SEND_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotificationNotSentError(f"no end within {SEND_SECONDS:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    if child.returncode:
        name = out.decode(errors="replace").strip()
        raise NotificationNotSentError(name if name.isidentifier() else f"exit code {child.returncode}")


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the child: proxies and authorities, but no password, key or server address."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("PREFECT_", settings.PREFIX, "NOTIFY_SOCKET", "WATCHDOG_"))
    }
    return {
        **kept,
        "PREFECT_HOME": str(local_files.prefect_home()),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def _trouble_message(trouble: Trouble, now: float) -> Message:
    lasts = format_span(int(max(now - trouble.since, 0) * 1e9))
    return Message(
        f"1Password Source on {socket.gethostname()}: trouble with the {trouble.what}",
        f"{trouble.text}\n\nSince: {_utc(trouble.since)} ({lasts})\n"
        "What to do: `up` restarts it if that can help. If the trouble stays, look at the terminal of "
        "`onepassword-source up`, and run `onepassword-source status` there.",
    )


def _recovery_message(trouble: Trouble, now: float) -> Message:
    lasted = format_span(int(max(now - trouble.since, 0) * 1e9))
    return Message(
        f"1Password Source on {socket.gethostname()}: trouble with the {trouble.what} is over",
        f"It ended at {_utc(now)} after {lasted}: {trouble.text}",
    )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
