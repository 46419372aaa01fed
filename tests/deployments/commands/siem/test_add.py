"""The command `siem add`: from options, from a block made in the UI, and without secrets in a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from receivers.splunk import TOKEN
from support.command_calls import CommandCalls
from support.siem_commands import apply_siem, siem_status

from blocks.prefect_names import block_name
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_a_siem_is_added_by_options(call: CommandCalls, source: str, splunk: Receiver) -> None:
    token = ("--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}')
    options = ("--set", f"url={splunk.url}", *token, "--set", 'indexes={"audit": "strict"}')
    out = call("siem", "add", "opts", "--type", "splunk", "--source", source, *options)
    assert out.splitlines() == ["opts: created (splunk).", f"  {source} to opts: created."]
    assert siem_status(call, "opts")["config"]["indexes"] == {"audit": "strict"}
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


def test_a_block_that_cannot_be_used_is_an_error_that_people_see_until_it_is_mended(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    from blocks.siem.splunk.block import SplunkSiem

    siem = apply_siem(call, splunk, source)
    block: Any = SplunkSiem.load(block_name(siem))
    block.url = "ftp://nowhere"
    block.save(block_name(siem), overwrite=True)
    assert call.json("siem", "run", siem, code=cli.IN_ERROR)[0]["state"] == "ThirdPartyConfigError"
    assert siem_status(call, siem, code=cli.IN_ERROR)["state"] == "ThirdPartyConfigError"
    (event,) = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert event["severityLevel"] == "Error"
    call("apply", "siem.json")
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    assert siem_status(call, siem)["state"] == "ok"


def test_an_added_siem_may_leave_out_the_past(call: CommandCalls, source: str, splunk: Receiver) -> None:
    options = ("--set", f"url={splunk.url}", "--set", 'token={"env": "SPLUNK_TOKEN_OF_TEST"}')
    call("siem", "add", "late", "--type", "splunk", "--source", source, *options, "--from", "0h")
    assert [one["waiting"] for one in siem_status(call, "late")["apis"]] == [0, 0, 0]
