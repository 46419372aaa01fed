"""What a SIEM would get: the newest events of each API as they would be sent, and the answer to a test request."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from support.chains import Filled
from support.forwarding import SIEM, FakeSender
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import EncodedRecord
from blocks.siem.splunk.block import SplunkSiem
from blocks.store import sources
from blocks.store.forwarding import forward_pairs
from deployments import siem_samples
from deployments.siem_samples import try_siem

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.siem.formats.event import FormattedEvent
    from deployments.siem_test import Sample, SiemTest

REJECTED = ThirdPartyGenericError("The SIEM answered 403.", hint="Check the token.")


@dataclass
class Sender(FakeSender):
    """A sender that groups by the API, and is closed once. No event is sent to it."""

    problem: ThirdPartyGenericError | None = None
    end: bytes = b"\xff\n"
    checks: int = 0
    closed: int = 0

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        return EncodedRecord(formatted.event, b"\n" + formatted.document + self.end, ("index", "main"))

    def check(self) -> str:
        self.checks += 1
        if self.problem is not None:
            raise self.problem
        return "It accepts events."

    def close(self) -> None:
        self.closed += 1


class Siem:
    """A Splunk that gets the events of SOURCE, and its sender. Its block has these members."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.sender, self.loads = engine, Sender(), [("", "")]
        self.loads.clear()
        self.members: dict[str, Any] = {"event_format": "raw"}
        self.filled = Filled(engine)
        self.add(SOURCE.name, SOURCE.id)

    def add(self, name: str, source_id: str, **fields: Any) -> None:
        sources.save(self.engine, replace(SOURCE, id=source_id, name=name, fields={"_siemForward": True, **fields}))
        forward_pairs.save(self.engine, source_id, SIEM, "splunk", {}, "first")

    def load(self, name: str, kind: str) -> SplunkSiem:
        self.loads.append((name, kind))
        return SplunkSiem(url="https://splunk.example.com:8088", token="a-token", **self.members)


@pytest.fixture
def siem(store: Engine, monkeypatch: pytest.MonkeyPatch) -> Siem:
    own = Siem(store)
    monkeypatch.setattr(siem_samples, "open_default_store", lambda: store)
    monkeypatch.setattr(siem_samples, "load_siem", own.load)
    monkeypatch.setattr(SplunkSiem, "get_sender", lambda _: own.sender)
    return own


def uuids(found: SiemTest) -> dict[str, list[str]]:
    by_api: dict[str, list[str]] = {}
    for one in found.samples:
        by_api.setdefault(one.api, []).append(one.uuid)
    return by_api


def one_of(found: SiemTest) -> Sample:
    (sample,) = found.samples
    return sample


def test_the_newest_events_of_each_api_are_shown_oldest_first(siem: Siem) -> None:
    siem.filled.commit(Api.AUDIT, 7)
    siem.filled.commit(Api.SIGN_IN, 2)
    found = try_siem(SIEM, number=3)
    assert uuids(found) == {
        "sign-in": ["sign-in-000000", "sign-in-000001"],
        "audit": ["audit-000004", "audit-000005", "audit-000006"],
    }
    assert len(try_siem(SIEM).samples) == 2 + 5
    assert siem.sender.batches == [], "no event is sent"
    assert siem.loads == [(SIEM, "splunk")] * 2
    assert siem.sender.closed == 2


def test_a_sample_is_the_record_as_it_would_be_sent(siem: Siem) -> None:
    siem.filled.commit(Api.AUDIT, 1)
    sample = one_of(try_siem(SIEM))
    assert (sample.source, sample.api, sample.withheld, sample.filtered_by) == (SOURCE.name, "audit", False, None)
    assert (sample.group, sample.redacted) == (("index", "main"), ())
    assert not sample.record.startswith("\n")
    assert sample.record.endswith("}\ufffd"), "what is not UTF-8 is shown as such"
    assert "audit-000000" in sample.record
    assert "note" in sample.record


@pytest.mark.parametrize("end", [b",", b"\n", b""])
def test_a_record_is_shown_without_what_separates_it_from_the_next(siem: Siem, end: bytes) -> None:
    siem.filled.commit(Api.AUDIT, 1)
    siem.sender.end = end
    assert json.loads(one_of(try_siem(SIEM)).record)["uuid"] == "audit-000000"


def test_a_rule_of_the_siem_changes_a_record_and_another_filters_it(siem: Siem) -> None:
    siem.members["rules"] = [{"drop": {"api": ["sign-in"]}}, {"remove": ["note"]}]
    siem.filled.commit(Api.AUDIT, 1)
    siem.filled.commit(Api.SIGN_IN, 1)
    by_api = {one.api: one for one in try_siem(SIEM).samples}
    assert by_api["audit"].redacted == ("note",)
    assert "note" not in by_api["audit"].record
    dropped = by_api["sign-in"]
    assert "rule 1" in str(dropped.filtered_by).lower()
    assert (dropped.record, dropped.group, dropped.redacted) == ("", (), ())
    assert (dropped.source, dropped.uuid) == (SOURCE.name, "sign-in-000000")


@pytest.mark.parametrize(
    ("enabled", "archive", "withheld"), [(True, False, False), (False, False, True), (False, True, False)]
)
def test_a_siem_gets_nothing_without_forwarding_but_an_archive_does(
    siem: Siem, monkeypatch: pytest.MonkeyPatch, *, enabled: bool, archive: bool, withheld: bool
) -> None:
    monkeypatch.setattr(SplunkSiem, "is_archive", archive)
    siem.members["rules"] = [{"drop": {"api": ["sign-in"]}}]
    siem.filled.commit(Api.AUDIT, 1)
    siem.filled.commit(Api.SIGN_IN, 1)
    siem.add(SOURCE.name, SOURCE.id, _siemForward=enabled)
    found = try_siem(SIEM).samples
    assert [one.withheld for one in found] == [withheld] * 2
    assert {bool(one.record) for one in found} == {True, False}, "both a record and a filtered event say so"


def test_each_source_of_the_siem_is_shown_or_the_one_that_is_named(siem: Siem) -> None:
    siem.add("other", "2" * 32)
    siem.filled.commit(Api.AUDIT, 1)
    assert [one.source for one in try_siem(SIEM).samples] == [SOURCE.name]
    assert try_siem(SIEM, "other").samples == ()
    assert one_of(try_siem(SIEM, SOURCE.name)).uuid == "audit-000000"


@pytest.mark.parametrize(("name", "source"), [("none", None), (SIEM, "none")])
def test_a_siem_that_does_not_exist_is_an_error(siem: Siem, name: str, source: str | None) -> None:
    with pytest.raises(ThirdPartyConfigError, match="There is no SIEM named"):
        try_siem(name, source)
    assert siem.loads == []


def test_the_answer_of_the_siem_is_shown(siem: Siem) -> None:
    found = try_siem(SIEM)
    assert (found.siem, found.samples, found.answer, found.works) == (SIEM, (), "It accepts events.", True)
    assert siem.sender.checks == 1


def test_what_the_siem_refuses_is_the_answer(siem: Siem) -> None:
    siem.sender.problem = REJECTED
    siem.filled.commit(Api.AUDIT, 1)
    found = try_siem(SIEM)
    assert (found.answer, found.works) == ("The SIEM answered 403. Check the token.", False)
    assert len(found.samples) == 1
    assert siem.sender.closed == 1


def test_offline_no_request_is_made(siem: Siem) -> None:
    siem.sender.problem = REJECTED
    found = try_siem(SIEM, offline=True)
    assert (found.answer, found.works, siem.sender.checks) == ("", True, 0)


def test_the_sender_is_closed_after_an_error(siem: Siem) -> None:
    siem.members["rules"] = [{"remove": ["note"]}]
    siem.filled.commit(Api.AUDIT, 1)
    siem.sender.encode = None  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError):
        try_siem(SIEM)
    assert siem.sender.closed == 1


def test_the_format_is_that_of_the_block(siem: Siem) -> None:
    siem.members["event_format"] = "ecs"
    siem.filled.commit(Api.AUDIT, 1)
    record = json.loads(one_of(try_siem(SIEM)).record.rstrip("\ufffd"))
    assert "ecs.version" in record or "ecs" in record
