"""Secrets of 1Password, read with a real program `op` on the PATH that answers as 1Password's own does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.fake_op import REFERENCE, SECRET, FakeOp

from blocks.problems import ConfigurationError
from blocks.secret_references import onepassword_cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOp:
    found = FakeOp(tmp_path / "bin")
    found.use(monkeypatch)
    return found


def problem(reference: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        onepassword_cli.read(reference, "$.api_token")
    (found,) = raised.value.problems
    assert found.path == "$.api_token"
    return str(found)


def test_a_secret_is_read_without_a_shell_and_without_a_line_end(op: FakeOp) -> None:
    assert onepassword_cli.read(REFERENCE, "$") == SECRET
    assert json.loads(op.calls[0])["arguments"] == ["read", "--no-newline", REFERENCE]


def test_the_program_does_not_get_our_own_secrets(op: FakeOp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", "postgresql://user:password@host/db")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:secret")
    monkeypatch.setenv("OP_SERVICE_ACCOUNT_TOKEN", "ops_…")
    onepassword_cli.read(REFERENCE, "$")
    names = json.loads(op.calls[0])["environment"]
    assert "OP_SERVICE_ACCOUNT_TOKEN" in names
    assert not [name for name in names if name.startswith(("ONEPASSWORD_SOURCE_", "PREFECT_"))]


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "the command `op` is not installed" in problem(REFERENCE)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("op://Elsewhere/Events API/credential", "1Password has no such secret"),
        ("op://Private/Another/credential", "1Password has no such secret"),
        ("op://Private/Events API/nothing", "1Password has no such secret"),
        ("op://Private/Events API/empty", "is empty in 1Password"),
        ("op://Private/Events API/binary", "is no text of at most 64 KiB"),
        ("op://Private/Events API/large", "is no text of at most 64 KiB"),
    ],
)
def test_what_the_program_answers_is_put_into_words(op: FakeOp, reference: str, words: str) -> None:
    assert words in problem(reference)
    assert reference in problem(reference)


@pytest.mark.parametrize("reference", ["op://", "op://a/b", "op://a//c", "op://a/b/c/d/e", "op://a/b/c\n"])
def test_what_is_no_reference_does_not_reach_the_program(op: FakeOp, reference: str) -> None:
    assert "is not a reference to a secret" in problem(reference)
    assert op.calls == []


def test_without_a_sign_in_the_ways_to_sign_in_are_named(op: FakeOp) -> None:
    op.sign_out()
    text = problem(REFERENCE)
    assert "1Password is not signed in" in text
    assert "OP_SERVICE_ACCOUNT_TOKEN" in text


def test_a_program_that_hangs_is_ended(op: FakeOp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onepassword_cli, "SECONDS", 0.5)
    op.hang()
    assert "did not return" in problem(REFERENCE)


def test_a_message_that_is_not_known_is_shown_in_part(op: FakeOp) -> None:
    (op.directory / "op").write_text("#!/bin/sh\necho \"[ERROR] $(printf 'z%.0s' $(seq 900))\" >&2\nexit 3\n")
    text = problem(REFERENCE)
    assert "`op` failed for" in text
    assert len(text) < 600
