"""The command `reconcile`: what it says, and what it does not take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.flow_runs import Source

from deployments import cli
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--last", "soon"], "The last 'soon' is no duration of a minute or more."),
        (["--api", "everything"], "--api takes sign-in, itemUsage, audit, not everything."),
        (["--api", "x", "--last", "1s"], "not x. The last '1s' is no duration of a minute or more."),
    ],
)
def test_contradicting_options_are_all_reported(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(["reconcile", "1Pass", *arguments]) == cli.WRONG_USE
    assert message in capsys.readouterr().err


@pytest.mark.prefect
def test_it_finds_and_reports_missed_events(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*arguments: str) -> str:
        assert cli.main(arguments) == cli.DONE
        return capsys.readouterr().out

    url = f"sqlite:///{tmp_path / 'events.db'}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    with running_sandbox(events=90, days=1) as sandbox:
        source = Source("1Pass reconciled", url, sandbox)
        source.save()
        sandbox.fault("omitted", api="auditevents", count=2, times=1)
        assert "88 new events" in call("collect", source.name)
        message = call("reconcile", source.name, "--last", "2d")
        assert message.startswith("Reconciled: ")
        assert "90 events compared: 2 were not there, 0 have changed; 0 put in quarantine." in message
        assert message.endswith("The next complete collection shows whether they were late or missed.\n")
        again = json.loads(call("reconcile", source.name, "--last", "2d", "--api", "audit", "--json"))
    assert {name: again[name] for name in ("state", "in_error", "read", "new", "changed")} == {
        "state": "Reconciled",
        "in_error": False,
        "read": 30,
        "new": 0,
        "changed": 0,
    }
