"""Applying SIEMs: secrets that are missing, what changed in words and as records, and what to do next."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.command_sessions import session_of

from blocks.errors import ThirdPartyConfigError
from blocks.secret_references import secret_file
from deployments import deferred
from deployments.commands.support import siem_documents
from deployments.commands.support.siem_documents import (
    apply_document,
    apply_siems,
    print_applied,
    warn_of_known_pairs,
)
from deployments.prefect_api.server_access import PrefectAccess
from deployments.siems import AppliedSiem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from blocks.siem.configuration import SiemConfig

SPLUNK = {"url": "https://splunk.example.com:8088", "token": "a-token"}
OWN, TEMPORARY = PrefectAccess("own"), PrefectAccess("temporary")


def document(**config: Any) -> dict[str, Any]:
    """A file with a SIEM `SOC` of two sources."""
    return {"siem": {"name": "SOC", "type": "splunk", "sources": ["a", "b"], "config": {**SPLUNK, **config}}}


@dataclass
class Siems:
    """Applies SIEMs without a server: each is created, with a pair for each source, and the second was there."""

    configs: list[SiemConfig] = field(default_factory=list)
    since: list[int | None] = field(default_factory=list)
    run: list[str] = field(default_factory=list)

    def apply_all(self, configs: Sequence[SiemConfig], since_ns: int | None) -> Iterator[str | AppliedSiem]:
        self.configs += configs
        self.since.append(since_ns)
        for config in configs:
            yield from config.sources
            yield AppliedSiem(
                config.name, config.kind, "created", {config.sources[0]: "created", config.sources[1]: "unchanged"}
            )

    def run_new_pairs(self, applied: Sequence[AppliedSiem]) -> None:
        self.run += [one.name for one in applied]


@pytest.fixture
def siems(monkeypatch: pytest.MonkeyPatch) -> Siems:
    own = Siems()
    monkeypatch.setattr(deferred, "siems", own, raising=False)
    return own


PRINTED = "SOC: created (splunk).\n  a to SOC: created.\n  b to SOC: unchanged.\n"


def test_a_document_is_applied_and_its_new_pairs_run(siems: Siems, capsys: pytest.CaptureFixture[str]) -> None:
    apply_document(document(), None, None, OWN, as_json=False)
    assert capsys.readouterr() == (PRINTED, "")
    (config,) = siems.configs
    assert (config.name, config.kind, config.sources, config.members) == ("SOC", "splunk", ("a", "b"), SPLUNK)
    assert (siems.since, siems.run) == ([None], ["SOC"])


def test_without_a_server_events_are_forwarded_later(siems: Siems, capsys: pytest.CaptureFixture[str]) -> None:
    apply_document(document(), None, None, TEMPORARY, as_json=False)
    assert capsys.readouterr() == (PRINTED, "Events are forwarded while this runs: onepassword-source up\n")
    assert siems.run == []


def test_a_script_gets_records_alone(siems: Siems, capsys: pytest.CaptureFixture[str]) -> None:
    apply_document(document(), None, None, TEMPORARY, as_json=True)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == [
        {
            "siem": "SOC",
            "type": "splunk",
            "change": "created",
            "sources": [{"source": "a", "change": "created"}, {"source": "b", "change": "unchanged"}],
            "sources_left": [],
            "sources_not_for_siem": [],
        }
    ]
    assert siems.run == []


def test_a_time_is_for_new_pairs_and_the_others_are_named(siems: Siems, capsys: pytest.CaptureFixture[str]) -> None:
    apply_document(document(), "7d", 123, OWN, as_json=False)
    assert siems.since == [123]
    assert capsys.readouterr().err == (
        "Warning: --from applies only to new pairs. b to SOC continues from its position. To send events again: "
        "onepassword-source siem replay SOC --source b --from 7d\n"
    )


@pytest.mark.parametrize("kind", ["own", "temporary"])
def test_a_file_of_siems_is_applied_in_a_session(
    siems: Siems, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: Any
) -> None:
    monkeypatch.setattr(siem_documents, "prefect_session", session_of(kind))
    apply_siems(document())
    assert capsys.readouterr().out == PRINTED
    assert (siems.since, siems.run) == ([None], ["SOC"] if kind == "own" else [])
    apply_siems(document(), as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["siem"] == "SOC"


def test_nothing_of_a_wrong_document_is_applied(siems: Siems) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"\$\.siem\.config"):
        apply_document(document(url="http://splunk.example.com"), None, None, OWN, as_json=False)
    assert siems.configs == []


def test_a_secret_in_a_file_that_others_can_read_is_a_warning(
    siems: Siems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(secret_file, "exposure", lambda path: f"Everyone may read {path}.")
    secret = tmp_path / "token"
    secret.write_text("from-the-file\n")
    secret.chmod(0o600)
    apply_document(document(token={"file": str(secret)}), None, None, OWN, as_json=False)
    assert siems.configs[0].members["token"] == "from-the-file"
    assert capsys.readouterr() == (PRINTED, f"Warning: Everyone may read {secret}.\n")


def without_token() -> dict[str, Any]:
    found = document()
    del found["siem"]["config"]["token"]
    return found


def test_a_missing_secret_is_an_error_of_a_script(siems: Siems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(ThirdPartyConfigError) as raised:
        apply_document(without_token(), None, None, OWN, as_json=False)
    assert str(raised.value) == (
        "There is no token for 'SOC'. "
        'Put it into the file, or refer to it: {"file": "/path"}, {"env": "NAME"} or op://vault/item/field.'
    )
    assert (raised.value.code, siems.configs) == ("configuration", [])


def test_a_missing_secret_is_typed_on_a_terminal(siems: Siems, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[tuple[str, bool, bool]] = []

    def prompt(text: str, *, hide_input: bool, err: bool) -> str:
        prompts.append((text, hide_input, err))
        return " typed \n"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    apply_document(without_token(), None, None, OWN, as_json=False)
    (config,) = siems.configs
    assert (config.members, config.missing_secrets) == ({**SPLUNK, "token": "typed"}, ())
    assert prompts == [("token of SOC", True, True)], "without echo, and not in the output of a script"


def test_sources_without_forwarding_and_those_that_are_left_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    print_applied([AppliedSiem("S", "otlp", "updated", {}, left=("old",), not_for_siem=("off\x1b",))], as_json=False)
    out, err = capsys.readouterr()
    assert out == "S: updated (otlp).\n"
    assert err == (
        "Warning: Forwarding is not enabled for off\ufffd, so none of its events are sent to SIEMs. Set its field "
        "_siemForward to true.\n"
        "Warning: S still gets the events of old, which this file does not name. "
        "Stop that with: onepassword-source siem remove S --source old\n"
    )


def test_sources_that_are_left_are_in_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_applied([AppliedSiem("S", "otlp", "updated", {}, left=("old",), not_for_siem=("off",))], as_json=True)
    out, err = capsys.readouterr()
    (found,) = json.loads(out)
    assert (found["sources"], found["sources_left"], found["sources_not_for_siem"]) == ([], ["old"], ["off"])
    assert err == ""


def test_without_a_time_no_pair_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_known_pairs([AppliedSiem("S", "otlp", "updated", {"a": "unchanged"})], None)
    assert capsys.readouterr().err == ""
    warn_of_known_pairs([AppliedSiem("S", "otlp", "updated", {"a": "updated", "b": "created"})], "7d")
    assert capsys.readouterr().err.count("--from applies only to new pairs. a to S") == 1
