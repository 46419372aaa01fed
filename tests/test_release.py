"""The provenance of a release: what its statement says, and what it and its signature notice."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.paths import ROOT

PROVENANCE = ROOT / ".ci" / "provenance.py"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"a-1.whl": b"a wheel", "a-1.tar.gz": b"an sdist"}


def call(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, PROVENANCE, *map(str, arguments)],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    directory = tmp_path / "dist"
    directory.mkdir()
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    return directory


def keys(directory: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, form))
    return private, public


def test_the_constraints_have_each_locked_version_without_hashes() -> None:
    command = [sys.executable, ROOT / ".ci" / "constraints.py", ROOT / "requirements.lock"]
    lines = subprocess.check_output(command, text=True).splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9._-]+==[^ ]+( ; .+[^\\ ])?", line)] == []
    assert len(lines) == (ROOT / "requirements.lock").read_text().count("==") - _in_markers(lines)


def _in_markers(lines: list[str]) -> int:
    return sum(line.partition(" ; ")[2].count("==") for line in lines)


def test_the_statement_names_each_file_with_its_digest_and_the_commit(dist: Path) -> None:
    call("write", dist / "a.provenance.json", COMMIT, ROOT)
    statement: dict[str, Any] = json.loads((dist / "a.provenance.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["commit"] == COMMIT
    assert {"name": "source", "digest": {"gitCommit": COMMIT}} in definition["resolvedDependencies"]
    assert not (dist / "a.provenance.dsse.json").exists()
    assert "no signature was checked" in call("verify", dist / "a.provenance.json")


def test_a_changed_file_and_a_missing_one_are_reported(dist: Path) -> None:
    call("write", dist / "a.provenance.json", COMMIT, ROOT)
    (dist / "a-1.whl").write_bytes(b"another")
    (dist / "a-1.tar.gz").unlink()
    printed = call("verify", dist / "a.provenance.json", code=1)
    assert "a-1.whl is another file" in printed
    assert "a-1.tar.gz is missing" in printed


def test_a_signature_is_of_its_key_and_its_statement_only(dist: Path, tmp_path: Path) -> None:
    statement, envelope = dist / "a.provenance.json", dist / "a.provenance.dsse.json"
    private, public = keys(tmp_path, "own")
    _, other = keys(tmp_path, "other")
    call("write", statement, COMMIT, ROOT, "--key", private)
    assert "the signature is of this key" in call("verify", statement, "--key", public)
    assert "not signed with this key" in call("verify", statement, "--key", other, code=1)
    signed = statement.read_text()
    statement.write_text(signed.replace(COMMIT, "f" * 40))
    assert "signs another statement" in call("verify", statement, "--key", public, code=1)
    statement.write_text(signed)
    envelope.unlink()
    assert "is not signed" in call("verify", statement, "--key", public, code=1)
