"""The commands that forward, against a temporary Prefect server, a sandbox and a Splunk that behaves as documented."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from receivers.server import receiving
from receivers.splunk import TOKEN, SplunkHec
from sqlalchemy import text
from support import siem_store
from support.command_calls import CommandCalls, source_config, write_document
from support.prefect_reads import read_all
from support.terminal import CTRL_C, in_terminal

from blocks.prefect_names import block_name
from blocks.store import audit_log, source_status
from blocks.store.forwarding import forward_pairs, positions
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.server import Receiver

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect

EVENTS = 30


@pytest.fixture
def splunk() -> Iterator[Receiver]:
    with receiving(SplunkHec()) as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _token_in_the_environment(own_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLUNK_TOKEN_OF_TEST", TOKEN)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).removeprefix("test_")[:40]


@pytest.fixture
def source(name: str, call: CommandCalls, api: SandboxProcess) -> str:
    """A source that has events, with forwarding enabled."""
    apply_source(call, name, api)
    siem_store.commit(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"], name, EVENTS)
    return name


def apply_source(call: CommandCalls, name: str, api: SandboxProcess, **fields: Any) -> None:
    config = source_config(name, api, collect_from="7d", fields={"_siemForward": True, **fields})
    write_document("source.json", {"source": config})
    call("apply", "source.json")


def document(name: str, splunk: Receiver, *sources: str, **config: Any) -> dict[str, Any]:
    members = {"url": splunk.url, "token": TOKEN, **config}
    return {"siem": {"name": name, "type": "splunk", "sources": list(sources), "config": members}}


def apply(call: CommandCalls, splunk: Receiver, source: str, **config: Any) -> str:
    """The name of a SIEM that was applied."""
    siem = f"soc of {source}"
    write_document("siem.json", document(siem, splunk, source, **config))
    call("apply", "siem.json")
    return siem


def status(call: CommandCalls, siem: str, code: int = cli.DONE) -> Any:
    return call.json("siem", "status", siem, code=code)[0]


def deployments(siem: str) -> list[str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [one.name for one in read_all(client.read_deployments) if one.parameters.get("siem") == siem]


def blocks(siem: str) -> list[str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [
            str(one.block_type_name) for one in read_all(client.read_block_documents) if one.name == block_name(siem)
        ]


def test_a_siem_gets_every_event_once_and_status_counts_them(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    before = status(call, siem)
    assert [one["waiting"] for one in before["apis"]] == [EVENTS] * 3
    assert before["state"] == "waiting"
    assert TOKEN not in json.dumps(before)
    done = call.json("siem", "run", siem)
    assert done[0]["state"] == "Forwarded"
    assert done[0]["message"].startswith("90 events sent to ")
    with source_status.opened_store() as engine, engine.connect() as connection:
        stored = set(connection.scalars(text("SELECT uuid FROM events")))
    assert set(splunk.arrivals.counts()) == stored
    assert set(splunk.arrivals.counts().values()) == {1}
    after = status(call, siem)
    assert [(one["sent"], one["waiting"], one["oldest_waiting"]) for one in after["apis"]] == [(EVENTS, 0, None)] * 3
    assert after["state"] == "ok"
    assert call.json("siem", "run", siem)[0]["message"] == f"0 events sent to {siem}."
    assert deployments(siem) == [f"{source} to {siem}"] or deployments(siem)[0].startswith(f"{source} to {siem}-")


def test_the_same_file_again_changes_nothing(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    assert call.json("apply", "siem.json")[0]["change"] == "unchanged"
    write_document("siem.json", document(siem, splunk, source, index="main"))
    assert call.json("apply", "siem.json")[0]["change"] == "updated"


def test_all_problems_of_a_file_come_at_once_and_nothing_is_stored(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    found = document("", splunk, source, indx="main", url="ftp://splunk", rules=[{"drp": {}}])
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
    write_document("siem.json", document("soc", splunk, "nobody"))
    assert "There is no source named 'nobody'." in call("apply", "siem.json", code=cli.WRONG_USE)


def test_a_secret_may_come_from_the_environment(
    call: CommandCalls, source: str, splunk: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = document("env", splunk, source)
    found["siem"]["config"]["token"] = {"env": "SPLUNK_TOKEN_OF_TEST"}
    write_document("siem.json", found)
    monkeypatch.delenv("SPLUNK_TOKEN_OF_TEST")
    assert "SPLUNK_TOKEN_OF_TEST" in call("apply", "siem.json", code=cli.WRONG_USE)
    monkeypatch.setenv("SPLUNK_TOKEN_OF_TEST", TOKEN)
    call("apply", "siem.json")
    assert call.json("siem", "run", "env")[0]["state"] == "Forwarded"
    assert len(splunk.arrivals.counts()) == 3 * EVENTS


def test_a_secret_that_nothing_gave_is_named(call: CommandCalls, source: str, splunk: Receiver) -> None:
    found = document("bare", splunk, source)
    del found["siem"]["config"]["token"]
    write_document("siem.json", found)
    assert "There is no token for 'bare'." in call("apply", "siem.json", code=cli.WRONG_USE)


def test_a_siem_is_added_by_options(call: CommandCalls, source: str, splunk: Receiver) -> None:
    token = ("--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}')
    options = ("--set", f"url={splunk.url}", *token, "--set", 'indexes={"audit": "strict"}')
    out = call("siem", "add", "opts", "--type", "splunk", "--source", source, *options)
    assert out.splitlines() == ["opts: created (splunk).", f"  {source} to opts: created."]
    assert status(call, "opts")["config"]["indexes"] == {"audit": "strict"}
    assert "opts" in call("siem", "list")


def test_a_block_made_in_the_ui_is_taken_by_its_name(call: CommandCalls, source: str, splunk: Receiver) -> None:
    from pydantic import SecretStr

    from blocks.siem.splunk.block import SplunkSiem

    adding = ("siem", "add", "from-ui", "--source", source)
    assert "no configuration of a SIEM named 'from-ui'" in call(*adding, code=cli.WRONG_USE)
    SplunkSiem(url=splunk.url, token=SecretStr(TOKEN)).save("from-ui")
    call(*adding)
    assert call.json("siem", "run", "from-ui")[0]["message"].startswith("90 events sent")


def test_a_secret_is_not_taken_from_the_command_line(call: CommandCalls, source: str, splunk: Receiver) -> None:
    options = ("--type", "splunk", "--source", source, "--set", f"url={splunk.url}")
    message = call("siem", "add", "shown", *options, "--set", f"token={TOKEN}", code=cli.WRONG_USE)
    assert "token is a secret" in message
    assert TOKEN not in message
    assert "There is no token" in call("siem", "add", "shown", *options, "--set", "token=", code=cli.WRONG_USE)


def test_nothing_of_a_file_is_stored_if_its_last_siem_cannot_be(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    both = [document(name, splunk, of)["siem"] for name, of in (("first", source), ("second", "nobody"))]
    write_document("siem.json", {"siems": both})
    assert "'nobody'" in call("apply", "siem.json", code=cli.WRONG_USE)
    assert call.json("siem", "list") == []
    assert blocks("first") == []


def test_from_a_time_is_for_what_is_new(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    options = ("--set", f"url={splunk.url}", "--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}', "--from", "0h")
    call("siem", "add", siem, "--type", "splunk", "--source", source, *options)
    assert "siem replay" in call.err
    assert [one["waiting"] for one in status(call, siem)["apis"]] == [EVENTS] * 3


def test_a_block_that_cannot_be_used_is_an_error_that_people_see_until_it_is_mended(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    from blocks.siem.splunk.block import SplunkSiem

    siem = apply(call, splunk, source)
    block: Any = SplunkSiem.load(block_name(siem))
    block.url = "ftp://nowhere"
    block.save(block_name(siem), overwrite=True)
    assert call.json("siem", "run", siem, code=cli.IN_ERROR)[0]["state"] == "ThirdPartyConfigError"
    assert status(call, siem, code=cli.IN_ERROR)["state"] == "ThirdPartyConfigError"
    (event,) = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert event["severityLevel"] == "Error"
    call("apply", "siem.json")
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    assert status(call, siem)["state"] == "ok"


def test_an_added_siem_may_leave_out_the_past(call: CommandCalls, source: str, splunk: Receiver) -> None:
    options = ("--set", f"url={splunk.url}", "--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}')
    call("siem", "add", "late", "--type", "splunk", "--source", source, *options, "--from", "0h")
    assert [one["waiting"] for one in status(call, "late")["apis"]] == [0, 0, 0]


def test_without_forwarding_enabled_no_event_is_sent(
    call: CommandCalls, name: str, api: SandboxProcess, splunk: Receiver
) -> None:
    apply_source(call, name, api, _siemForward=False)
    call("collect", name)
    siem = apply(call, splunk, name)
    assert "_siemForward" in call.err
    done = call.json("siem", "run", siem)[0]
    assert done["state"] == "Skipped"
    assert "_siemForward is not true" in done["message"]
    assert splunk.arrivals.events == 0
    assert "_siemForward" in call("siem", "status", siem)


def test_the_records_are_shown_with_the_rule_that_filters_one(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    siem = apply(call, splunk, source, rules=[{"drop": {"api": ["audit"]}}, {"remove": ["location"]}])
    found = call.json("siem", "test", siem, "--sample", "2")
    assert found["ok"] is True
    assert splunk.arrivals.events == 0
    apis = [one["api"] for one in found["events"]]
    assert apis == ["sign-in"] * 2 + ["itemUsage"] * 2 + ["audit"] * 2
    assert all("rule 1" in one["filtered_by"].lower() for one in found["events"] if one["api"] == "audit")
    records = [json.loads(one["record"]) for one in found["events"] if "record" in one]
    assert len(records) == 4
    assert not any("location" in record["event"] for record in records)
    assert {tuple(one["redacted"]) for one in found["events"] if "record" in one} == {("location",), ()}
    assert "filtered: " in call("siem", "test", siem, "--offline")


def test_processing_rules_of_the_source_are_shown_and_counted(
    call: CommandCalls, name: str, source: str, api: SandboxProcess, splunk: Receiver
) -> None:
    document_of_source = json.loads(Path("source.json").read_text())
    document_of_source["source"]["filters"] = [
        {"name": "no items", "filterType": "Exclude", "regexp": '.*"item_uuid".*'},
        {"name": "mask mail", "filterType": "Mask", "regexp": '"email":"([^"]+)@', "mask": "###"},
    ]
    write_document("source.json", document_of_source)
    assert call("apply", "source.json").startswith(f"{name}: updated")
    siem = apply(call, splunk, source)
    found = call.json("siem", "test", siem, "--sample", "2", "--offline")["events"]
    why = {one["filtered_by"] for one in found if one["api"] == "itemUsage"}
    assert why == {'The source\'s processing rule "no items" excludes it.'}
    mails = [one["record"] for one in found if "@" in one.get("record", "")]
    assert mails
    assert all("###@" in record for record in mails)
    call("siem", "run", siem)
    counted = {one["api"]: (one["sent"], one["filtered"]) for one in status(call, siem)["apis"]}
    assert counted["itemUsage"][0] == 0
    assert counted["itemUsage"][1] > 0
    assert counted["audit"][1] == 0
    assert json.loads(call("export", source))["source"]["filters"] == document_of_source["source"]["filters"]


def test_test_shows_the_answer_of_the_siem(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source, token="another-token-than-splunk-has")
    splunk.behave("status", None, status=403)
    found = call.json("siem", "test", siem, code=cli.IN_ERROR)
    assert found["ok"] is False
    assert "403" in found["answer"]


def test_an_invalid_token_stops_the_pair_until_it_is_mended(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source, token="another-token-than-splunk-has")
    done = call.json("siem", "run", siem, code=cli.IN_ERROR)[0]
    assert done["state"] == "ThirdPartyConfigError"
    requests_before = splunk.request_count
    assert call.json("siem", "run", siem, code=cli.IN_ERROR)[0]["state"] == "ThirdPartyConfigError"
    assert splunk.request_count == requests_before  # nothing is sent while nothing has changed
    found = status(call, siem, code=cli.IN_ERROR)
    assert found["state"] == "ThirdPartyConfigError"
    assert "another-token" not in json.dumps(found)
    health = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert [one["eventName"] for one in health] == ["ThirdPartyConfigError"]
    write_document("siem.json", document(siem, splunk, source))
    call("apply", "siem.json")
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    health = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert sorted(one["eventName"] for one in health) == ["Recovered", "ThirdPartyConfigError"]


def test_what_another_run_forwards_is_exit_code_3(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    engine = source_status.open_store()
    for view in positions.of_pair(engine, forward_pairs.find_all(engine, siem)[0].id):
        assert positions.acquire(engine, view, "run-of-another")
    engine.dispose()
    found = call.json("siem", "run", siem, code=cli.SKIPPED)[0]
    assert (found["state"], found["in_error"]) == ("Skipped", False)
    assert found["message"].startswith("sign-in, itemUsage, audit: flow run run-of-another on ")
    assert "is forwarding it, since 20" in found["message"]
    assert "Skipped: Skipped" not in call("siem", "run", siem, code=cli.SKIPPED)
    assert splunk.arrivals.events == 0


def test_pause_and_resume(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    assert call("siem", "pause", siem) == f"{source} to {siem}: paused.\n"
    assert call("siem", "pause", siem) == f"{source} to {siem}: was already paused.\n"
    assert call.json("siem", "run", siem)[0]["state"] == "Skipped"
    assert status(call, siem)["state"] == "paused"
    assert splunk.arrivals.events == 0
    assert call("siem", "resume", siem) == f"{source} to {siem}: resumed.\n"
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    assert splunk.arrivals.events == 3 * EVENTS


def test_replay_sends_again_what_was_received_since(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    call("siem", "run", siem)
    assert call("siem", "replay", siem, "--from", "1h", "--yes") == f"{source} to {siem}: 90 events are sent again.\n"
    call("siem", "run", siem)
    assert set(splunk.arrivals.counts().values()) == {2}
    assert "Nothing says which events to send again." in call("siem", "replay", siem, code=cli.WRONG_USE)


def test_rejected_events_are_listed_and_replayed(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    first = call.json("siem", "test", siem, "--sample", "1")["events"][0]["uuid"]
    splunk.vendor.bad.add(first)  # type: ignore[attr-defined]
    assert "1 rejected by it" in call.json("siem", "run", siem)[0]["message"]
    found = call.json("siem", "rejected", siem)
    assert [(one["uuid"], one["api"]) for one in found] == [(first, "sign-in")]
    assert first in call("siem", "rejected", siem)
    splunk.vendor.bad.clear()  # type: ignore[attr-defined]
    assert call("siem", "replay", siem, "--rejected") == f"{source} to {siem}: 1 event is sent again.\n"
    call("siem", "run", siem)
    assert splunk.arrivals.counts()[first] == 1
    assert call.json("siem", "rejected", siem) == []


def test_rejected_events_can_be_discarded(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    first = call.json("siem", "test", siem, "--sample", "1")["events"][0]["uuid"]
    splunk.vendor.bad.add(first)  # type: ignore[attr-defined]
    call("siem", "run", siem)
    assert "--reason needs --discard" in call("siem", "rejected", siem, "--reason", "x", code=cli.WRONG_USE)
    discarding = ("siem", "rejected", siem, "--discard", "--yes", "--reason", "a test account")
    assert call(*discarding) == f"{source} to {siem}: 1 discarded.\n"
    with source_status.opened_store() as engine:
        assert audit_log.newest(engine, 1)[0].details["reason"] == "a test account"
    assert call.json("siem", "rejected", siem) == []


def test_remove_takes_the_secret_and_the_deployment(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    assert blocks(siem) == ["1Password to Splunk"]
    assert "In a script, use --yes." in call("siem", "remove", siem, code=cli.WRONG_USE)
    assert call("siem", "remove", siem, "--yes") == f"{source} to {siem}: removed, with its secrets.\n"
    assert (blocks(siem), deployments(siem)) == ([], [])
    assert "There is no SIEM named" in call("siem", "status", siem, code=cli.WRONG_USE)
    with source_status.opened_store() as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM events")) == 3 * EVENTS


def test_a_renamed_source_keeps_its_siem_and_its_position(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    call("siem", "run", siem)
    new = f"new {source}"
    call("rename", source, new)
    (name,) = deployments(siem)
    assert name.startswith(f"{new} to {siem}")
    assert call.json("siem", "run", siem)[0]["message"] == f"0 events sent to {siem}."


def test_a_deleted_source_is_no_longer_forwarded(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    call("delete", source, "--yes")
    assert deployments(siem) == []


@pytest.mark.parametrize("arguments", [("siem", "status", "none"), ("siem", "pause", "none"), ("siem", "run", "none")])
def test_an_unknown_siem_is_named(call: CommandCalls, source: str, arguments: tuple[str, ...]) -> None:
    assert "There is no SIEM named 'none'" in call(*arguments, code=cli.WRONG_USE)


@pytest.mark.torture
def test_ctrl_c_ends_it_for_all_sources_and_what_was_not_sent_waits(
    call: CommandCalls, source: str, splunk: Receiver, api: SandboxProcess
) -> None:
    other = f"{source} 2"
    apply_source(call, other, api)
    write_document("siem.json", document("soc [/x]", splunk, source, other))
    call("apply", "siem.json")
    splunk.behave("answer", None, status=503)
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "deployments.cli", "siem", "run", "soc [/x]"]
    code, shown = in_terminal(command, [("retrying", CTRL_C)], env)
    assert code == cli.INTERRUPTED
    assert f"soc [/x]: 0 sent, {3 * EVENTS} waiting" in shown
    assert shown.count("Stopped:") == 1
    assert other not in shown
    assert "Traceback" not in shown
    splunk.clear()
    call("siem", "run", "soc [/x]")
    assert splunk.arrived().total() == 3 * EVENTS


def test_sent_events_are_not_sent_again_without_a_confirmation(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    siem = apply(call, splunk, source)
    call("siem", "run", siem)
    message = call("siem", "replay", siem, "--from", "1h", code=cli.WRONG_USE)
    assert f"90 events were sent to {siem} already, and would be sent again. Nothing was done." in message
    assert "--yes" in message
    call("siem", "run", siem)
    assert set(splunk.arrivals.counts().values()) == {1}
    (again,) = call.json("siem", "replay", siem, "--from", "1h", "--yes")
    assert (again["source"], again["siem"], again["sent_again"]) == (source, siem, 90)


def test_the_list_has_a_header(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply(call, splunk, source)
    titles, *lines = call("siem", "list").splitlines()
    assert titles.split() == ["SIEM", "type", "source", "state"]
    assert any(siem in line and "splunk" in line for line in lines)
