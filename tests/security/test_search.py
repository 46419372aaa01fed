"""The search finds what is planted, in every kind of place; otherwise finding nothing would say nothing."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import os
import pickle
import secrets
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from security.processes import Watch
from security.search import GRAM, SHORTEST, Find, Search, forms

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD = "+x/y=z%w~".join(secrets.token_hex(3) for _ in range(8))
PLAIN = secrets.token_urlsafe(60)
SECRETS = {"odd": ODD, "plain": PLAIN}

WAYS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "in JSON": lambda text: json.dumps({"message": text}).encode(),
    "in JSON of JSON": lambda text: json.dumps({"body": json.dumps({"message": text})}).encode(),
    "in JSON with slashes escaped": lambda text: text.replace("/", "\\/").encode(),
    "in JSON with Unicode escapes": lambda text: "".join(
        f"\\u{ord(c):04X}" if c in "+=%/~" else c for c in text
    ).encode(),
    "in a URL": lambda text: f"https://host/?token={quote(text, safe='')}&x=1".encode(),
    "in a URL in small letters": lambda text: quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f").encode(),
    "in hexadecimal": lambda text: text.encode().hex().encode(),
    **{
        f"in base64 {alphabet} behind {before} bytes": lambda text, before=before, encode=encode: encode(
            bytes(before) + text.encode() + b" and more"
        )
        for before in range(4)
        for alphabet, encode in {"standard": base64.b64encode, "for URLs": base64.urlsafe_b64encode}.items()
    },
    "in base64 of base64": lambda text: base64.b64encode(b'{"a":"' + base64.b64encode(text.encode()) + b'"}'),
    "pickled, in base64": lambda text: base64.b64encode(pickle.dumps(RuntimeError("it said", text))),
    "pickled, in gzip, in base64": lambda text: (
        b'{"result": "%b"}' % base64.b64encode(gzip.compress(pickle.dumps([text])))
    ),
    "in gzip": lambda text: b"before" + gzip.compress(text.encode()) + b"after",
    "in gzip that is not whole": lambda text: gzip.compress(os.urandom(200) + text.encode() + os.urandom(200))[:-50],
    "in gzip that goes on with a fault": lambda text: _flushed(text) + b"\xff",  # which is no kind of block
    "in zlib": lambda text: zlib.compress(b"\0" * 99 + text.encode()),
    "in bzip2": lambda text: bz2.compress(text.encode()),
    "in xz": lambda text: lzma.compress(text.encode()),
    "in gzip of gzip": lambda text: gzip.compress(gzip.compress(text.encode())),
}


def _flushed(text: str) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)


def names_of(finds: list[Find]) -> set[str]:
    return {find.secret for find in finds}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("name", SECRETS)
def test_it_is_found_in_bytes(name: str, way: Callable[[str], bytes]) -> None:
    for shift in range(0, GRAM, 5):
        data = b"." * shift + way(SECRETS[name]) + b"."
        assert names_of(list(Search(SECRETS).data(data, "here"))) == {name}


@pytest.mark.parametrize("name", SECRETS)
def test_any_24_characters_are_found_in_any_writing(name: str) -> None:
    search, text = Search(SECRETS), SECRETS[name]
    for at in range(len(text) - SHORTEST + 1):
        part = text[at : at + SHORTEST]
        for form in forms(part):
            for shift in (0, 7):
                assert names_of(list(search.data(b" " * shift + form + b" ", "here"))) == {name}, (part, form)


def test_fewer_than_24_are_no_secret_nor_is_another_text() -> None:
    search = Search(SECRETS)
    assert not list(search.data(PLAIN[: GRAM - 1].encode(), "here"))
    assert not list(search.data(os.urandom(100_000) + secrets.token_urlsafe(1000).encode(), "here"))


@pytest.fixture(scope="module")
def jwts() -> tuple[str, str]:
    with running_sandbox(events=0) as sandbox:
        return sandbox.issue_token(), sandbox.issue_token()


def test_of_a_jwt_what_others_share_is_no_secret_but_its_signature_is(jwts: tuple[str, str]) -> None:
    token, other = jwts
    search = Search({"token": token}, common=[other])
    header, claims, signature = token.split(".")
    assert not list(search.data(other.encode() + header.encode(), "here"))
    for part in (token, token[:-10], f"{header}.{claims}", signature, signature[:SHORTEST], signature[-SHORTEST:]):
        assert names_of(list(search.data(b"ends in " + part.encode(), "here"))) == {"token"}, part


def test_it_is_found_in_files_and_in_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "some.log").write_text(f"INFO | {ODD}\n")
    (tmp_path / "deep" / PLAIN).touch()
    assert names_of(list(Search(SECRETS).tree(tmp_path))) == {"odd", "plain"}


def test_it_is_found_in_the_cells_of_a_database_and_in_what_was_not_written_back_yet(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE log (message TEXT, data BLOB)")
        database.execute("INSERT INTO log VALUES (?, ?)", ("x" * 20_000 + ODD, gzip.compress(PLAIN.encode())))
        finds = list(Search(SECRETS).tree(tmp_path))
        assert {("odd", "some.db, table log"), ("plain", "some.db, table log")} <= {(f.secret, f.where) for f in finds}
        assert "some.db-wal" in {find.where for find in finds}


def test_what_is_encrypted_is_read_with_the_key_alone(tmp_path: Path) -> None:
    key = Fernet.generate_key()
    data = json.dumps(Fernet(key).encrypt(json.dumps({"api_token": ODD}).encode()).decode()).encode()
    assert not list(Search(SECRETS).data(data, "here"))
    assert not list(Search(SECRETS, key=Fernet.generate_key().decode()).data(data, "here"))
    assert [find.how for find in Search(SECRETS, key=key.decode()).data(data, "here")] == [("decrypted",)]


def test_it_is_found_in_the_environment_and_the_command_line_of_a_process_and_its_children() -> None:
    child = "[sys.executable, '-c', 'input()', sys.argv[1]], env={'A': sys.argv[2]}"
    code = f"import os, subprocess, sys; subprocess.run({child})"
    with Watch() as watch:
        command = [sys.executable, "-c", code, ODD, PLAIN]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env={"GIVEN": PLAIN}) as process:
            watch.follow(process.pid, "parent")
            watch.wait_for_children(process.pid)
            process.communicate(b"\n")
    finds = {(find.secret, find.where) for find in watch.finds(Search(SECRETS))}
    assert ("odd", "command line of a child of parent") in finds
    assert ("plain", "environment of a child of parent") in finds
    assert ("odd", "command line of parent") in finds
    assert ("plain", "environment of parent") in finds
