"""Notifications about `up`, without a Prefect server: through real blocks, to a real receiver."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psutil
import pytest
from support.one_machine import free_port, wait_until
from support.webhook_receiver import Received, webhook_receiver

from deployments.one_machine import notifier
from deployments.one_machine.notifier import (
    BlockNotLoadedError,
    Message,
    NotificationNotSentError,
    Notifier,
    block_loader,
    child_environment,
    send_by_child,
)
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from support.one_machine import RunningUp

pytestmark = pytest.mark.processes

SECRET = "the-secret-of-the-webhook"
SERVER = Trouble("server", "The Prefect server does not answer.", 1_790_000_000)
RUNS = Trouble("runs", "No run has worked for 7 min.", 1_790_000_000)
DAY = 86_400


def document(url: str) -> bytes:
    """The block document of a custom webhook, as a Prefect server gives it with its secrets."""
    kind = {"id": str(uuid4()), "name": "Custom Webhook", "slug": "custom-webhook"}
    text = {"subject": "{{subject}}", "body": "{{body}}"}
    schema = {"id": str(uuid4()), "checksum": "sha256:0", "fields": {}, "block_type": kind, "capabilities": ["notify"],
              "block_type_id": kind["id"]}  # fmt: skip
    data = {"name": "receiver", "url": f"{url}/{{{{path}}}}", "json_data": text, "secrets": {"path": SECRET}}
    return json.dumps(
        {"id": str(uuid4()), "name": "receiver", "data": data, "block_schema_id": schema["id"], "block_schema": schema,
         "block_type_id": kind["id"], "block_type": kind, "block_document_references": {}}
    ).encode()  # fmt: skip


MESSAGE = Message("trouble with the server", "It does not answer.")


def test_a_message_reaches_a_webhook_while_no_prefect_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    with webhook_receiver() as (url, received):
        send_by_child(document(url), MESSAGE)
    assert received == [Received(f"/{SECRET}", {"subject": MESSAGE.subject, "body": MESSAGE.body})]


def test_a_message_that_is_rejected_is_an_error_without_the_address() -> None:
    with webhook_receiver(500) as (url, _), pytest.raises(NotificationNotSentError) as raised:
        send_by_child(document(url), MESSAGE)
    assert str(raised.value) == "HTTPStatusError"


@pytest.mark.parametrize("block", [b"{}", b"[1]", b'{"block_schema": null}'])
def test_what_is_no_block_is_an_error(block: bytes) -> None:
    with pytest.raises(NotificationNotSentError, match="Error"):
        send_by_child(block, MESSAGE)


def test_a_receiver_that_hangs_is_left_in_time_and_no_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "SEND_SECONDS", 0.5)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(NotificationNotSentError, match="no end within"):
        send_by_child(document("http://127.0.0.1:1"), MESSAGE)  # Prefect alone takes longer to import
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_the_secrets_of_up_are_not_in_the_environment_of_the_child() -> None:
    environment = {
        "PREFECT_API_AUTH_STRING": "x",
        "PREFECT_SERVER_ENCRYPTION_KEY": "x",
        "PREFECT_API_URL": "x",
        "ONEPASSWORD_SOURCE_HEARTBEAT_URL": "x",
        "ONEPASSWORD_SOURCE_DATABASE_URL": "x",
        "NOTIFY_SOCKET": "x",
        "PATH": "kept",
        "HTTPS_PROXY": "kept",
    }
    found = child_environment(environment)
    assert "x" not in found.values()
    assert (found["PATH"], found["HTTPS_PROXY"]) == ("kept", "kept")


class Rounds:
    """A notifier in rounds whose clocks the test moves, and what it has sent."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sent: list[str] = []
        self.loads = self.refused = 0
        self.missing = False
        self.notifier = Notifier(self._load, self._send, steady=lambda: self.now)

    def _load(self) -> bytes:
        self.loads += 1
        if self.missing:
            raise BlockNotLoadedError("there is no block x/y.")
        return b"the block"

    def _send(self, block: bytes, message: Message) -> None:
        assert block == b"the block"
        if self.refused:
            self.refused -= 1
            raise NotificationNotSentError("ConnectError")
        self.sent.append(message.subject.split(": ")[1])

    def go(self, *troubles: Trouble, seconds: float = 60) -> list[str]:
        """Rounds for so long; the lines for the terminal."""
        lines: list[str] = []
        for _ in range(max(int(seconds / 15), 1)):
            self.now += 15
            found = UpHealth(1_790_000_000 + self.now, healthy=not troubles, troubles=troubles, started=0)
            lines += self.notifier.after_round(found, all_good=not troubles)
            wait_until(lambda: not self.notifier._sending.is_running and not self.notifier._loading.is_running)
        return lines


def test_once_for_each_trouble_and_once_when_it_is_over() -> None:
    rounds = Rounds()
    rounds.go()
    assert rounds.go(SERVER, seconds=600) == []
    assert rounds.sent == ["trouble with the server"]
    rounds.go(SERVER, RUNS)
    rounds.go(RUNS)
    rounds.go()
    assert rounds.sent[1:] == [
        "trouble with the runs",
        "trouble with the server is over",
        "trouble with the runs is over",
    ]


def test_a_disk_that_fills_is_a_message_although_up_is_healthy() -> None:
    rounds = Rounds()
    rounds.go()
    disk = Trouble("disk", "Only 1 MB are free.", 1_790_000_000)
    for warnings in ((disk,), (disk,), ()):
        rounds.now += 60
        found = UpHealth(1_790_000_000 + rounds.now, healthy=True, troubles=(), started=0, warnings=warnings)
        rounds.notifier.after_round(found, all_good=True)
        wait_until(lambda: not rounds.notifier._sending.is_running)
    rounds.go()
    assert rounds.sent == ["trouble with the disk", "trouble with the disk is over"]


def test_again_each_day_while_it_lasts() -> None:
    rounds = Rounds()
    rounds.go()
    rounds.go(RUNS, seconds=3 * DAY + 60)
    assert rounds.sent == ["trouble with the runs"] * 4


def test_what_could_not_be_sent_is_tried_again_and_said_once() -> None:
    rounds = Rounds()
    rounds.go()
    rounds.refused = 3
    assert rounds.go(RUNS, seconds=600) == ["The notification could not be sent (ConnectError); it will be sent again."]
    assert rounds.sent == ["trouble with the runs"]


def test_a_block_that_is_not_there_is_said_once_and_tried_again() -> None:
    rounds = Rounds()
    rounds.missing = True
    assert rounds.go(RUNS, seconds=600) == ["No notification can be sent: there is no block x/y."]
    rounds.missing = False
    rounds.go(RUNS, seconds=120)
    assert rounds.sent == ["trouble with the runs"]


def test_the_block_is_loaded_now_and_then_while_the_server_works() -> None:
    rounds = Rounds()
    rounds.go(seconds=1800)
    assert rounds.loads == 3
    rounds.go(SERVER, seconds=1800)
    assert rounds.loads == 3


def test_without_the_setting_there_is_no_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEPASSWORD_SOURCE_NOTIFY", raising=False)
    assert notifier.from_settings("http://127.0.0.1:1/api") is None
    monkeypatch.setenv("ONEPASSWORD_SOURCE_NOTIFY", "slack-webhook/security")
    assert notifier.from_settings("http://127.0.0.1:1/api") is not None


def test_a_server_that_does_not_answer_gives_no_block() -> None:
    with pytest.raises(BlockNotLoadedError, match="connect"):
        block_loader(f"http://127.0.0.1:{free_port()}/api", "slack-webhook/security")()


@pytest.mark.prefect
def test_a_block_of_a_real_server_is_loaded_with_its_secrets_and_used_once_that_is_stopped(
    running_up: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    api = f"http://127.0.0.1:{running_up.port}/api"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", ":".join(running_up.auth))
    with webhook_receiver() as (url, received):
        text: dict[str, Any] = {"subject": "{{subject}}", "body": "{{body}}"}
        with temporary_settings({PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: os.environ["PREFECT_API_AUTH_STRING"]}):
            CustomWebhookNotificationBlock(
                name="receiver", url=f"{url}/{{{{path}}}}", json_data=text, secrets={"path": SECRET}
            ).save("watchdog", overwrite=True)
        with pytest.raises(BlockNotLoadedError, match="there is no block custom-webhook/none"):
            block_loader(api, "custom-webhook/none")()
        block = block_loader(api, "custom-webhook/watchdog")()
        running_up.stop()
        with pytest.raises(BlockNotLoadedError, match="connect"):
            block_loader(api, "custom-webhook/watchdog")()
        send_by_child(block, MESSAGE)
        assert received == [Received(f"/{SECRET}", {"subject": MESSAGE.subject, "body": MESSAGE.body})]
