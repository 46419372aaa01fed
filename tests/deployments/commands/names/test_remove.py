"""The command `names remove` is confirmed, and never guesses."""

from __future__ import annotations

from support.command_calls import CommandCalls

from deployments import cli


def test_removing_is_confirmed_and_never_a_guess(call: CommandCalls) -> None:
    call("names", "import", "vaults.json")
    assert "Give either --all or the ids" in call("names", "remove", code=cli.WRONG_USE)
    assert "Give either --all or the ids" in call("names", "remove", "v1", "--all", code=cli.WRONG_USE)
    assert "Nothing was removed" in call("names", "remove", "--all", code=cli.WRONG_USE)
    assert len(call.json("names", "list")) == 2
