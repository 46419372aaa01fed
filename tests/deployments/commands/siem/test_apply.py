"""SIEMs from files: all or nothing, secrets from the environment, and what goes with a source's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from receivers.splunk import TOKEN
from support.command_calls import CommandCalls, write_document
from support.siem_commands import EVENTS, apply_siem, siem_blocks, siem_deployments, siem_document, siem_status

from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_the_same_file_again_changes_nothing(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    assert call.json("apply", "siem.json")[0]["change"] == "unchanged"
    write_document("siem.json", siem_document(siem, splunk, source, index="main"))
    assert call.json("apply", "siem.json")[0]["change"] == "updated"


def test_all_problems_of_a_file_come_at_once_and_nothing_is_stored(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    found = siem_document("", splunk, source, indx="main", url="ftp://splunk", rules=[{"drp": {}}])
    found["siem"]["typ"] = "splunk"
    write_document("siem.json", found)
    message = call("apply", "siem.json", code=cli.WRONG_USE)
    for path in ("$.siem.name", "$.siem.typ", "$.siem.config.indx", "$.siem.config.url", "$.siem.config.rules"):
        assert path in message, message
    assert call.json("siem", "list") == []
    assert TOKEN not in message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"siem": []}, "$.siem: it is a list"),
        ({"siems": []}, "$.siems: it is not a list of SIEMs"),
        ({"siem": {}, "siems": []}, "both siem and siems"),
        ({"siem": {"name": "a", "type": "splnk", "sources": ["1Pass"], "config": {}}}, "splunk"),
        ({"siem": {"name": "a", "type": "splunk", "sources": [], "config": {}}}, "$.siem.sources"),
        ({"siem": {"name": "a", "type": "splunk", "sources": ["x"], "config": {"url": 5}}}, "$.siem.config.url"),
    ],
)
def test_a_wrong_file_is_reported_with_the_place(call: CommandCalls, document: object, message: str) -> None:
    write_document("siem.json", document)
    assert message in call("apply", "siem.json", code=cli.WRONG_USE)


def test_an_unknown_source_is_an_error(call: CommandCalls, splunk: Receiver, source: str) -> None:
    write_document("siem.json", siem_document("soc", splunk, "missing"))


def test_a_secret_may_come_from_the_environment(
    call: CommandCalls, source: str, splunk: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = siem_document("env", splunk, source)
    found["siem"]["config"]["token"] = {"env": "SPLUNK_TOKEN_OF_TEST"}
    write_document("siem.json", found)
    monkeypatch.delenv("SPLUNK_TOKEN_OF_TEST")
    assert "SPLUNK_TOKEN_OF_TEST" in call("apply", "siem.json", code=cli.WRONG_USE)
    monkeypatch.setenv("SPLUNK_TOKEN_OF_TEST", TOKEN)
    call("apply", "siem.json")
    assert call.json("siem", "run", "env")[0]["state"] == "Forwarded"
    assert len(splunk.arrivals.counts()) == 3 * EVENTS


def test_a_secret_that_nothing_gave_is_named(call: CommandCalls, source: str, splunk: Receiver) -> None:
    found = siem_document("bare", splunk, source)
    del found["siem"]["config"]["token"]
    write_document("siem.json", found)
    assert "There is no token for 'bare'." in call("apply", "siem.json", code=cli.WRONG_USE)


def test_nothing_of_a_file_is_stored_if_its_last_siem_cannot_be(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    both = [siem_document(name, splunk, of)["siem"] for name, of in (("first", source), ("second", "missing"))]
    write_document("siem.json", {"siems": both})
    assert "'missing'" in call("apply", "siem.json", code=cli.WRONG_USE)
    assert call.json("siem", "list") == []
    assert siem_blocks("first") == []


def test_from_a_time_is_for_what_is_new(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    options = ("--set", f"url={splunk.url}", "--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}', "--from", "0h")
    call("siem", "add", siem, "--type", "splunk", "--source", source, *options)
    assert "siem replay" in call.err
    assert [one["waiting"] for one in siem_status(call, siem)["apis"]] == [EVENTS] * 3


def test_a_renamed_source_keeps_its_siem_and_its_position(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    call("siem", "run", siem)
    new = f"new {source}"
    call("rename", source, new)
    (name,) = siem_deployments(siem)
    assert name.startswith(f"{new} to {siem}")
    assert call.json("siem", "run", siem)[0]["message"] == f"0 events sent to {siem}."


def test_a_deleted_source_is_no_longer_forwarded(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    call("delete", source, "--yes")
    assert siem_deployments(siem) == []
