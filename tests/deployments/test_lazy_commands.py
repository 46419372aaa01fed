"""Former names and flags still work, and neither help nor completion shows them."""

from __future__ import annotations

import pytest

from deployments.cli import app
from deployments.lazy_commands import CommandEntry, _with_present_flags

ENTRY = CommandEntry("verify", "", former_flags={"--head": "--print-checkpoint", "--against": "--checkpoints"})


@pytest.mark.parametrize(
    ("arguments", "present"),
    [
        (["1Pass", "--head"], ["1Pass", "--print-checkpoint"]),
        (["--against", "x"], ["--checkpoints", "x"]),
        (["--against=a=b"], ["--checkpoints=a=b"]),
        (["--header", "x"], ["--header", "x"]),
        (["--head", "--", "--head"], ["--print-checkpoint", "--", "--head"]),
    ],
)
def test_a_former_flag_is_replaced_up_to_two_dashes(arguments: list[str], present: list[str]) -> None:
    assert _with_present_flags(arguments, ENTRY) == present


def test_a_former_name_resolves_to_the_command_and_is_not_listed() -> None:
    siem = app.commands["siem"]
    with siem.make_context("siem", ["refused", "soc"], resilient_parsing=True) as context:
        name, command, rest = siem.resolve_command(context, ["refused", "soc"])
    assert (name, command.name, rest) == ("rejected", "rejected", ["soc"])
    assert "refused" not in siem.commands


def test_an_unknown_command_is_none_for_a_shell_that_completes() -> None:
    with app.make_context("x", ["statsu"], resilient_parsing=True) as context:
        assert app.resolve_command(context, ["statsu"])[1] is None
