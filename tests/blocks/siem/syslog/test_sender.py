"""Syslog over TLS, to the rsyslog and the syslog-ng of Debian, and to receivers that misbehave."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from support import siems as support
from support.one_machine import wait_until
from support.real_syslog import Rsyslog, SyslogNg, running
from support.siem_conformance import Arrived, SenderConformance
from support.syslog_sessions import KEY, OURS, block_for, formatted_sign_in, send

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.formats import registry
from blocks.siem.syslog import rfc5425
from blocks.siem.syslog.block import Syslog

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.real_syslog import Daemon, Message

    from blocks.siem.base import SiemBlock
    from blocks.siem.formats.event import FormattedEvent
    from blocks.siem.syslog.sender import SyslogSender

SD_ID = "1password@32473"
FACTS = {"uuid", "api", "time", "received", "account"}


class TestSyslog(SenderConformance):
    module: ClassVar[str] = "blocks.siem.syslog.sender"
    secrets: ClassVar[tuple[str, ...]] = (KEY.splitlines()[1], "key-for-hashes")

    @pytest.fixture
    def block(self, rsyslog: Daemon) -> SiemBlock:
        ours = {"client_certificate": OURS, "client_key": SecretStr(KEY)}
        return block_for(rsyslog, **ours, hash_key=SecretStr("key-for-hashes"))

    @pytest.fixture
    def arrived(self, rsyslog: Daemon) -> Callable[[], list[Arrived]]:
        return lambda: [_arrived(message) for message in rsyslog.messages()]

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        wrong = {"host": "tls://here", "port": 0, "hostname": "with space", "sd_id": "meta", "max_message": -1}
        paths = {*wrong, "client_certificate", "ca_certificate"}
        block = Syslog(**wrong, client_key=SecretStr(KEY), ca_certificate="none")  # type: ignore[arg-type]
        return block, {f"block.{name}" for name in paths}


def _arrived(message: Message) -> Arrived:
    beside = message.sd[SD_ID]
    facts = {name: value for name, value in beside.items() if name in FACTS}
    rest = {name: value for name, value in beside.items() if name not in FACTS}
    return Arrived(message.msg, facts["uuid"], facts, rest)


def test_rsyslog_reads_each_part_of_a_message(rsyslog: Daemon) -> None:
    send(block_for(rsyslog), [formatted_sign_in(category="credentials_failed")])
    (message,) = rsyslog.messages()
    assert (message.pri, message.timestamp) == (109, "2026-03-04T05:06:07.089000Z")
    assert (message.hostname, message.app_name, message.procid) == ("here", "1password", "-")
    assert message.msgid == "signin-credentials_failed"


@pytest.mark.parametrize("format_name", support.FORMATS)
def test_syslog_ng_reads_every_documented_event(tmp_path: Path, format_name: str) -> None:
    sent = [one for api in Api for one in support.formatted(api, format_name=format_name)]
    with running(SyslogNg(tmp_path)) as syslog_ng:
        send(block_for(syslog_ng), sent)
        wait_until(lambda: len(syslog_ng.lines()) == len(sent))
        have = {message.sd[SD_ID]["uuid"]: message for message in syslog_ng.messages()}
    for one in sent:
        message = have[one.event.uuid]
        assert message.msg == one.document
        assert (message.msgid, message.hostname) == (one.event_id, "here")
        assert message.timestamp == message.sd[SD_ID]["time"][:26]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@settings(max_examples=60)
@given(source=TEXTS, category=TEXTS, team=TEXTS, value=TEXTS)
def test_rsyslog_reads_whatever_goes_with_an_event(
    daemon: Daemon, source: str, category: str, team: str, value: str
) -> None:
    daemon.forget()
    stream = support.stream(source=source, category=category, fields={"team": team})
    one = support.event(Api.SIGN_IN, category="success", details={"value": value})
    formatted = registry.format_event("raw", one, stream)
    send(block_for(daemon), [formatted])
    (message,) = daemon.messages()
    own = message.sd[SD_ID]
    assert message.msg == formatted.document
    assert (own["_source"], own["team"]) == (_spaced(source), _spaced(team))
    assert own.get("_sourceCategory", "") == _spaced(category)


def _spaced(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)


def test_a_message_that_rsyslog_would_truncate_is_rejected_and_the_others_are_sent(tmp_path: Path) -> None:
    most = 8192
    with running(Rsyslog(tmp_path, max_message="8k")) as rsyslog:
        sender = block_for(rsyslog).get_sender()
        fits, too_long, short = (
            _of_size(sender, most),
            _of_size(sender, most + 1),
            formatted_sign_in(category="success"),
        )
        batch = support.batch(sender, [one.event for one in (too_long, fits, short)])
        (refused,) = sender.send(batch).rejected
        assert (refused.index, refused.code) == (0, "too-large")
        assert "8,193 octets" in refused.answer
        assert [message.msg for message in rsyslog.messages()] == [fits.document, short.document]


def test_a_batch_of_nothing_but_long_messages_opens_no_connection(rsyslog: Daemon) -> None:
    sender = block_for(rsyslog, max_message=100, port=1).get_sender()
    answer = sender.send(support.batch(sender, [formatted_sign_in(category="success").event] * 2))
    assert [refused.index for refused in answer.rejected] == [0, 1]


def test_without_a_limit_the_longest_message_is_sent(rsyslog: Daemon) -> None:
    long = _of_size(block_for(rsyslog).get_sender(), 50_000)
    send(block_for(rsyslog, max_message=0), [long])
    assert [message.msg for message in rsyslog.messages()] == [long.document]


def _of_size(sender: SyslogSender, size: int) -> FormattedEvent:
    bare = rfc5425.message_length(sender.encode(formatted_sign_in(category="success", details="")).data)
    return formatted_sign_in(category="success", details="x" * (size - bare))


def test_nothing_that_was_confirmed_is_lost_when_rsyslog_is_killed(tmp_path: Path) -> None:
    with running(Rsyslog(tmp_path)) as rsyslog:
        sent = [one for api in Api for one in support.formatted(api)]
        sender = block_for(rsyslog).get_sender()
        parts = [sent[at : at + 40] for at in range(0, len(sent), 40)]
        broken = 0
        for round_ in range(3):
            confirmed = _until_killed(rsyslog, sender, parts, round_ * 7)
            broken += len(confirmed) < len(parts)
            kept = b"\n".join(rsyslog.lines())
            assert all(one.document in kept for part in confirmed for one in part)
            rsyslog.start()
        for part in parts:
            support.send_all(sender, part)
        kept = b"\n".join(rsyslog.lines())
        assert broken == 3
        assert all(one.document in kept for one in sent)


def _until_killed(
    rsyslog: Daemon, sender: SyslogSender, parts: list[list[FormattedEvent]], after: int
) -> list[list[FormattedEvent]]:
    """Kill the daemon once `after` parts were confirmed, while the next ones are on their way."""
    confirmed: list[list[FormattedEvent]] = []

    def go_on() -> None:
        with contextlib.suppress(ThirdPartyGenericError):
            for part in parts:
                support.send_all(sender, part)
                confirmed.append(part)

    rsyslog.forget()
    thread = threading.Thread(target=go_on)
    thread.start()
    wait_until(lambda: len(confirmed) >= after)
    rsyslog.kill()
    thread.join()
    return confirmed
