"""The provenance of the files in dist/: an in-toto Statement with SLSA's provenance v1, and its signature.

    python .ci/provenance.py write STATEMENT COMMIT TREE [--key PRIVATE.pem]
    python .ci/provenance.py verify STATEMENT [--key PUBLIC.pem]

`write` names each file beside STATEMENT with its digest. With a key it also writes a signed envelope (DSSE) as
STATEMENT with the ending .dsse.json. `verify` compares the files with the statement, and the statement with the
envelope. Without a key a statement proves nothing about who made it. docs/release.md says what a reader can rely on.

Sources: https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tomllib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
LOCAL_BUILDER = "urn:x-onepassword-source:unnamed-machine"
"""The builder, unless BUILDER_ID names one, such as the address of a workflow: whichever machine runs `make dist`."""
LOCKS = ("requirements-build.lock", "requirements.lock")


def statement(directory: Path, commit: str, tree: Path) -> dict[str, Any]:
    """What was built from what, without times and names of machines: the same commit gives the same statement."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    package = f"pkg:pypi/{project['name']}@{project['version']}"
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": _digest(path)} for path in _subjects(directory)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{package}#docs/release.md",  # the sdist has this page, which describes the build
                "externalParameters": {"command": "make dist", "commit": commit},
                "internalParameters": {
                    "SOURCE_DATE_EPOCH": os.environ["SOURCE_DATE_EPOCH"],
                    "python": platform.python_version(),
                },
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": commit}},
                    *({"name": name, "digest": _digest(tree / name)} for name in LOCKS),
                ],
            },
            "runDetails": {"builder": {"id": os.environ.get("BUILDER_ID", LOCAL_BUILDER)}},
        },
    }


def _subjects(directory: Path) -> list[Path]:
    left_out = ("SHA256SUMS", ".provenance.json", ".dsse.json")
    return sorted(path for path in directory.iterdir() if path.is_file() and not path.name.endswith(left_out))


def _digest(path: Path) -> dict[str, str]:
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def write(file: Path, commit: str, tree: Path, key: Path | None) -> None:
    payload = json.dumps(statement(file.parent, commit, tree), indent=2).encode() + b"\n"
    file.write_bytes(payload)
    if key:
        private = serialization.load_pem_private_key(key.read_bytes(), _passphrase())
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(CryptoSigner(private))  # type: ignore[arg-type]
        _envelope_of(file).write_text(json.dumps(envelope.to_dict(), indent=2) + "\n")


def _passphrase() -> bytes | None:
    return os.environb.get(b"KEY_PASSPHRASE")


def _envelope_of(file: Path) -> Path:
    return file.with_suffix(".dsse.json")


def verify(file: Path, key: Path | None) -> list[str]:
    """What does not match: files, and with a key the signature."""
    payload = file.read_bytes()
    problems = []
    for subject in json.loads(payload)["subject"]:
        path = file.parent / Path(subject["name"]).name
        if not path.is_file():
            problems.append(f"{path.name} is missing.")
        elif _digest(path) != subject["digest"]:
            problems.append(f"{path.name} is another file than the statement's.")
    if key:
        problems += _signature_problems(payload, _envelope_of(file), _public_key(key))
    return problems


def _public_key(key: Path) -> Key:
    return SSlibKey.from_crypto(serialization.load_pem_public_key(key.read_bytes()))  # type: ignore[arg-type]


def _signature_problems(payload: bytes, file: Path, key: Key) -> list[str]:
    if not file.is_file():
        return [f"{file.name} is missing: the statement is not signed."]
    envelope = Envelope.from_dict(json.loads(file.read_text()))
    try:
        envelope.verify([key], 1)
    except VerificationError:
        return [f"{file.name} was not signed with this key, or was changed afterwards."]
    if (envelope.payload, envelope.payload_type) != (payload, PAYLOAD_TYPE):
        return [f"{file.name} signs another statement."]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description="Write or verify the provenance of the files in dist/.")
    commands = parser.add_subparsers(dest="command", required=True)
    writing, verifying = commands.add_parser("write"), commands.add_parser("verify")
    writing.add_argument("file", type=Path)
    writing.add_argument("commit")
    writing.add_argument("tree", type=Path)
    verifying.add_argument("file", type=Path)
    for command in (writing, verifying):
        command.add_argument("--key", type=Path)
    options = parser.parse_args()
    if options.command == "write":
        write(options.file.absolute(), options.commit, options.tree, options.key)
        return 0
    problems = verify(options.file.absolute(), options.key)
    signed = "the signature is of this key" if options.key else "no signature was checked"
    print("\n".join(problems) or f"All files match the statement; {signed}.")  # noqa: T201 - its purpose
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
